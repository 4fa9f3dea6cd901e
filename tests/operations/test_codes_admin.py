"""An administrator makes, writes and revokes codes."""

import csv
import io
import uuid
from datetime import date
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from tests.operations.passwords import give_password
from tests.people import PASSWORD, make_user
from webapp.accounts.models import User
from webapp.core.models import AuditLine
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import codes
from webapp.credits.models import CodeBatch, CodeUse

CREDIT = UCR_PER_CREDIT
LIST = "/admin/credits/codebatch/"


@pytest.fixture
def admin(client: Client, charlie: User) -> Client:
    client.force_login(charlie)
    give_password(client)
    return client


@pytest.fixture
def batch(charlie: User) -> CodeBatch:
    return codes.create_batch(
        batch_id=uuid.uuid4(), actor=charlie, name="Würzburg 1", amount_ucr=5 * CREDIT, count=3
    )


def make(admin: Client, **changes: str) -> Any:
    form = {
        "name": "Workshop",
        "amount": "5",
        "count": "3",
        "uses_per_code": "1",
        "per_user_limit": "1",
        "last_day": "",
        "key": str(uuid.uuid4()),
        **changes,
    }
    return admin.post(f"{LIST}make/", form)


def written(response: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(response.content.decode())))


def test_codes_are_made_written_and_redeemed(admin: Client, alice: User) -> None:
    response = make(admin, last_day="2040-03-01")
    batch = CodeBatch.objects.get()
    page = f"{LIST}{batch.pk}/change/"
    assert response["Location"] == page
    assert "3 codes were created." in admin.get(page).content.decode()
    assert codes.last_day(batch) == date(2040, 3, 1)
    file = admin.post(f"{LIST}{batch.pk}/csv/")
    assert file["Content-Disposition"] == 'attachment; filename="codes-workshop.csv"'
    head, *lines = written(file)
    assert head == ["code", "credits", "uses_left", "last_day"]
    assert [line[1:] for line in lines] == [["5.00", "1", "2040-03-01"]] * 3
    assert codes.redeem_code(user=alice, text=lines[0][0]) == 5 * CREDIT
    assert [line[2] for line in written(admin.post(f"{LIST}{batch.pk}/csv/"))[1:]] == [
        "0",
        "1",
        "1",
    ]
    shown = admin.get(page).content.decode()
    assert "Uses: 1. Users: 1. Credits given: 5.00. Unused codes: 2." in shown
    assert "1 / 3" in admin.get(LIST).content.decode()
    uses = admin.get(f"/admin/credits/codeuse/?code__batch__id__exact={batch.pk}")
    assert alice.email in uses.content.decode()


def test_the_same_form_twice_makes_one_batch(admin: Client) -> None:
    key = str(uuid.uuid4())
    for _click in range(2):
        assert make(admin, key=key).status_code == 302
    assert CodeBatch.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "", "This field is required."),
        ("amount", "0", "A code gives more than 0"),
        ("amount", "0.0000001", "Enter at most 6 decimals."),
        ("amount", "many", "“many” is not a number. Write it like 12.5."),
        ("count", "0", "Enter a number from 1 to 10000."),
        ("count", "10001", "Enter a number from 1 to 10000."),
        ("uses_per_code", "-1", "Enter a number from 1 to 1000000."),
        ("per_user_limit", "0", "Enter a number from 1 to 10000."),
        ("last_day", "2001-01-01", "Codes can only expire in the future."),
        ("last_day", "tomorrow", "Enter a valid date."),
        ("last_day", "9999-12-31", "That day is too far in the future."),
        ("key", "", "This form is incomplete. Open it again."),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(
    admin: Client, field: str, value: str, sentence: str
) -> None:
    response = make(admin, **{field: value})
    assert response.status_code == 400
    assert sentence in response.content.decode()
    assert not CodeBatch.objects.exists()


def test_codes_are_revoked_with_a_reason(admin: Client, batch: CodeBatch) -> None:
    url = f"{LIST}{batch.pk}/revocation/"
    assert admin.get(url).status_code == 200
    assert admin.post(url, {"reason": ""}).status_code == 400
    assert admin.post(url, {"reason": "leaked"}).status_code == 302
    assert "revoked on" in admin.get(LIST).content.decode()
    assert AuditLine.objects.get(action="codes.revoke").reason == "leaked"
    again = admin.post(url, {"reason": "leaked"})
    assert "These codes are already revoked." in again.content.decode()


def test_expired_codes_say_so(admin: Client, batch: CodeBatch) -> None:
    CodeBatch.objects.update(expires_at="2001-01-01T00:00Z")
    assert "expired" in admin.get(LIST).content.decode()


def test_codes_of_another_secret_are_said_to_be_lost(
    admin: Client, batch: CodeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "derive_code", lambda **_asked: "0" * 26)
    response = admin.post(f"{LIST}{batch.pk}/csv/")
    assert response.status_code == 400
    assert "these codes are lost" in response.content.decode()


def test_the_password_is_asked_for_and_then_the_form_goes_through(
    client: Client, charlie: User, batch: CodeBatch
) -> None:
    client.force_login(charlie)
    for path, form in (
        ("csv", {}),
        ("revocation", {"reason": "leaked"}),
    ):
        response = client.post(f"{LIST}{batch.pk}/{path}/", form)
        assert response["Location"].startswith("/accounts/reauthenticate/")
    assert make(client)["Location"].startswith("/accounts/reauthenticate/")
    assert AuditLine.objects.filter(action__in=["codes.export", "codes.revoke"]).count() == 0
    response = client.post(f"/accounts/reauthenticate/?next={LIST}make/", {"password": PASSWORD})
    assert response.status_code == 302
    assert CodeBatch.objects.count() == 2


def test_a_batch_that_is_not_there_is_not_found(admin: Client) -> None:
    for key in (uuid.uuid4(), "7"):
        assert admin.get(f"{LIST}{key}/csv/").status_code == 404
        assert admin.get(f"{LIST}{key}/revocation/").status_code == 404


def test_staff_who_may_only_look_make_and_write_nothing(client: Client, batch: CodeBatch) -> None:
    dora = make_user("dora", is_staff=True)
    dora.user_permissions.add(Permission.objects.get(codename="view_codebatch"))
    client.force_login(dora)
    give_password(client)
    assert client.get(LIST).status_code == 200
    assert make(client).status_code == 403
    for path in ("csv", "revocation"):
        assert client.post(f"{LIST}{batch.pk}/{path}/", {"reason": "x"}).status_code == 403
    assert CodeBatch.objects.count() == 1


def test_the_lists_cost_a_handful_of_queries(
    admin: Client, alice: User, charlie: User, django_assert_max_num_queries: Any
) -> None:
    for _batch in range(12):
        made = codes.create_batch(
            batch_id=uuid.uuid4(), actor=charlie, name="Workshop", amount_ucr=CREDIT, count=1
        )
        (line,) = codes.export_batch(batch_id=made.pk, actor=charlie)
        codes.redeem_code(user=alice, text=line.text)
    assert CodeUse.objects.count() == 12
    for url in (LIST, "/admin/credits/codeuse/"):
        with django_assert_max_num_queries(12):
            assert admin.get(url).status_code == 200
