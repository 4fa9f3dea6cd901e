"""The ledger, images and the audit log in the admin site."""

import uuid
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from tests.operations.admin_pages import admin as admin
from tests.operations.admin_pages import count_queries, page_of, top_up, words_of
from tests.operations.downloads import download
from tests.people import PASSWORD, claim, finish, make_user, submit
from webapp.accounts.models import User, UserGroup
from webapp.catalog.models import DiffusionModel
from webapp.core import audit
from webapp.core.models import AuditLine
from webapp.credits import ledger
from webapp.credits.models import Transaction
from webapp.generation.models import Image
from webapp.operations import ranks
from webapp.operations.admin import csv_files, long_lists

LEDGER = "/admin/credits/transaction/"


def listed(admin: Client, query: str = "") -> list[Transaction]:
    response = admin.get(f"{LEDGER}?{query}")
    assert response.status_code == 200, response
    rows: list[Transaction] = list(response.context["cl"].result_list)
    return rows


# -- The ledger ------------------------------------------------------------------------------


def test_the_newest_line_is_first_and_tells_whose_and_how_much(
    admin: Client, alice: User, charlie: User
) -> None:
    posted = top_up(alice, charlie, 12)
    assert listed(admin)[0] == posted
    page = words_of(admin.get(LEDGER))
    assert f'href="/admin/accounts/user/{alice.pk}/change/"' in page
    assert "212.00" in page
    assert ">+12.00<" in page


def test_lines_are_found_by_person_image_key_and_number(
    admin: Client, alice: User, bob: User, charlie: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    claimed = claim(offered_model)
    finish(claimed)
    posted = top_up(bob, charlie, 5)
    captured = Transaction.objects.get(kind="capture")
    assert listed(admin, f"q={claimed.image_id}") == [captured]
    assert listed(admin, f"q={posted.pk}") == [posted]
    assert listed(admin, f"q={posted.idempotency_key}") == [posted]
    assert [one.kind for one in listed(admin, "q=Alice@")] == ["capture", "grant"]
    assert [one.kind for one in listed(admin, f"q={bob.email}")] == ["top_up", "grant"]
    assert len(listed(admin, "q=@example.org")) == 5
    assert listed(admin, "q=nobody") == []
    assert listed(admin, f"q={uuid.uuid4()}") == []
    assert listed(admin, "q=99999999999999999999") == []


def test_lines_are_filtered_by_kind_day_and_amount(
    admin: Client, alice: User, bob: User, charlie: User
) -> None:
    small, large = top_up(alice, charlie, 5), top_up(bob, charlie, 500)
    today = timezone.localdate().isoformat()
    tomorrow = (timezone.localdate() + timedelta(days=1)).isoformat()
    assert listed(admin, "kind__exact=top_up") == [large, small]
    assert len(listed(admin, f"since={today}&until={today}")) == 5
    assert listed(admin, f"since={tomorrow}") == []
    assert listed(admin, f"until={timezone.localdate() - timedelta(days=1)}") == []
    assert listed(admin, "at_most=5") == [small]
    assert listed(admin, "at_least=500") == [large]
    assert listed(admin, f"at_least=200&at_most=400&q={bob.email}&kind__exact=top_up") == []
    assert [one.kind for one in listed(admin, f"at_least=200&q={bob.email}")] == [
        "top_up",
        "grant",
    ]
    assert listed(admin, f"at_least=5&since={today}&until={today}&kind__exact=top_up") == [
        large,
        small,
    ]
    assert listed(admin, f"at_least=5&since={tomorrow}") == []
    assert listed(admin, f"at_least=5&q={small.pk}") == [small]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("since=yesterday", "From: Enter a valid date."),
        (
            "since=2026-03-02&until=2026-03-01",
            "To: The first day is after the last day. Choose an earlier first day.",
        ),
        ("at_least=much", "At least: “much” is not a number. Write it like 12.5."),
        ("at_most=0.0000001", "At most: Enter at most 6 decimals."),
    ],
)
def test_a_filter_that_will_not_do_is_told_in_a_sentence_and_shows_nothing(
    admin: Client, query: str, sentence: str
) -> None:
    response = admin.get(f"{LEDGER}?{query}")
    assert list(response.context["cl"].result_list) == []
    assert sentence in words_of(response)


@pytest.fixture
def long_ledger(alice: User, charlie: User, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of a ledger of many pages, newest first, with marks every seven transactions."""
    monkeypatch.setattr(ranks, "SPACING", 7)
    monkeypatch.setattr(ranks, "SETTLED", timedelta(0))
    for number in range(130):
        top_up(alice, charlie, 1, f"number {number}")
    return list(Transaction.objects.order_by("-created_at", "-pk").values_list("pk", flat=True))


def test_every_page_of_a_long_ledger_holds_what_belongs_there(
    admin: Client, long_ledger: list[int]
) -> None:
    for _with_marks_made_and_remembered in range(2):
        pages = [[one.pk for one in listed(admin, f"p={page}")] for page in (1, 2, 3)]
        assert [len(page) for page in pages] == [50, 50, len(long_ledger) - 100]
        assert [pk for page in pages for pk in page] == long_ledger


def test_lines_that_come_later_are_counted_and_found(
    admin: Client, alice: User, charlie: User, long_ledger: list[int]
) -> None:
    listed(admin)
    newest = [top_up(alice, charlie, 1).pk for _time in range(9)]
    pages = [[one.pk for one in listed(admin, f"p={page}")] for page in (1, 2, 3)]
    assert [pk for page in pages for pk in page] == newest[::-1] + long_ledger


def test_marks_of_another_database_are_forgotten(admin: Client, long_ledger: list[int]) -> None:
    foreign = ranks.Mark(900_000, timezone.now() - timedelta(days=9), 10**12)
    cache.set(ranks.KEY, [ranks.START, foreign], None)
    assert admin.get(LEDGER).context["cl"].result_count == len(long_ledger)
    assert [one.pk for one in listed(admin)] == long_ledger[:50]


def test_a_filter_that_fits_very_much_says_that_there_is_more(
    admin: Client, long_ledger: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_lists, "MOST_COUNTED", 60)
    response = admin.get(f"{LEDGER}?kind__exact=top_up")
    assert response.context["cl"].result_count == 60
    assert "There are more lines than can be counted here" in words_of(response)
    assert "There are more lines" not in words_of(admin.get(f"{LEDGER}?kind__exact=grant"))
    assert "There are more lines" not in words_of(admin.get(LEDGER))


def test_a_page_of_the_ledger_takes_as_many_queries_whichever_it_is(
    admin: Client, long_ledger: list[int]
) -> None:
    listed(admin)
    pages = ["", "p=2", "p=3", "kind__exact=top_up", "q=alice", "at_least=1", "at_most=1&p=2"]
    assert max(count_queries(admin, f"{LEDGER}?{query}") for query in pages) <= 13


def test_what_a_filter_fits_is_one_file(
    admin: Client,
    bob: User,
    charlie: User,
    long_ledger: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(csv_files, "ROWS_PER_CHUNK", 40)
    top_up(bob, charlie, 5, "=HYPERLINK(1)")
    everything = download(admin, f"{LEDGER}export/")
    written = Transaction.objects.order_by("pk").values_list("pk", flat=True)
    assert [int(line["transaction"]) for line in everything] == list(written)
    [line] = download(admin, f"{LEDGER}export/?kind__exact=top_up&q={bob.email}")
    assert (line["user"], line["credits"], line["balance"]) == (bob.email, "5.00", "205.00")
    assert (line["kind"], line["reason"], line["by"]) == (
        "top_up",
        "'=HYPERLINK(1)",
        charlie.email,
    )


def test_the_file_is_for_those_who_may_see_the_ledger(client: Client, db: None) -> None:
    client.force_login(make_user("dora", is_staff=True))
    assert client.get(f"{LEDGER}export/").status_code == 404


def test_a_transaction_leads_to_its_image_its_person_and_what_undid_it(
    admin: Client, alice: User, charlie: User
) -> None:
    posted = top_up(alice, charlie, 5)
    undone = ledger.reverse(transaction_id=posted.pk, actor=charlie, reason="a mistake")
    page = words_of(admin.get(f"{LEDGER}{posted.pk}/change/"))
    assert f"{LEDGER}{undone.pk}/change/" in page
    assert "a mistake" in page
    assert f"{LEDGER}{posted.pk}/undo/" not in page
    page = words_of(admin.get(f"{LEDGER}{undone.pk}/change/"))
    assert f"{LEDGER}{posted.pk}/change/" in page


def test_an_image_tells_of_its_money_and_not_of_its_prompt(
    admin: Client, alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    claimed = claim(offered_model)
    finish(claimed)
    page = words_of(admin.get(f"/admin/generation/image/{claimed.image_id}/change/"))
    assert "0.20, charged" in page
    assert "−0.20" in page
    assert "a fox at dusk" not in page


def test_an_images_seconds_are_told_stage_by_stage_in_words(
    admin: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = submit(alice, offered_model).images.get()
    timings_s = {"denoise_s": 4.9, "load_s": 0.0, "queue_s": 11.2}
    Image.objects.filter(pk=image.pk).update(timings_s=timings_s)
    page = words_of(admin.get(f"/admin/generation/image/{image.pk}/change/"))
    assert page.index("Seconds: in the queue") < page.index("Seconds: generating")
    assert "loading the model" not in page


def test_images_are_found_by_their_owner_and_their_failure(
    admin: Client, alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    hers = submit(alice, offered_model).images.get()
    his = submit(bob, offered_model).images.get()
    Image.objects.filter(pk=his.pk).update(state="failed", failure_code="out_of_memory")
    where = "/admin/generation/image/"

    def found(query: str) -> list[Image]:
        return list(admin.get(f"{where}?{query}").context["cl"].result_list)

    assert found("q=alice") == [hers]
    assert found(f"q={his.pk}") == [his]
    assert found("failure=out_of_memory") == [his]
    assert found("state__exact=queued") == [hers]
    assert set(found("")) == {hers, his}


# -- The audit log ---------------------------------------------------------------------------


def test_what_is_changed_by_hand_stands_in_the_audit_log_with_before_and_after(
    admin: Client, alice: User, charlie: User
) -> None:
    admin.post(page_of(alice), {"email": "alice.b@example.org"})
    line = AuditLine.objects.get(action="user.change")
    assert (line.before["email"], line.after["email"]) == (
        "alice@example.org",
        "alice.b@example.org",
    )
    page = words_of(admin.get(f"/admin/core/auditline/{line.pk}/change/"))
    for words in ("user.change", charlie.email, "alice@example.org", "alice.b@example.org"):
        assert words in page
    assert page_of(alice) in page


def test_a_password_that_is_set_for_somebody_stands_there_and_never_itself(
    admin: Client, alice: User
) -> None:
    new = "another long and quiet one"
    form = {"password1": new, "password2": new, "usable_password": "true"}
    admin.post(f"/admin/accounts/user/{alice.pk}/password/", form)
    line = AuditLine.objects.get(action="user.password")
    assert line.subject_id == str(alice.pk)
    assert new not in str([line.before, line.after])
    assert User.objects.get(pk=alice.pk).check_password(new)


def test_rights_and_passwords_are_given_only_with_the_password_of_the_last_minutes(
    client: Client, alice: User, charlie: User
) -> None:
    client.force_login(charlie)
    again = "/accounts/reauthenticate/"
    form = {"email": alice.email, "is_superuser": "on", "is_staff": "on"}
    assert client.post(page_of(alice), form)["Location"].startswith(again)
    new = {"password1": "x" * 20, "password2": "x" * 20}
    url = f"/admin/accounts/user/{alice.pk}/password/"
    assert client.post(url, new)["Location"].startswith(again)
    alice.refresh_from_db()
    assert not alice.is_superuser


def test_what_was_sent_before_the_password_is_done_after_it_whatever_the_list_was_filtered_by(
    client: Client, alice: User, charlie: User
) -> None:
    client.force_login(charlie)
    group = UserGroup.objects.create(name="students")
    form = {"email": alice.email, "group": group.pk}
    asked = client.post(f"{page_of(alice)}?_changelist_filters=q%3Dalice", form)
    assert asked["Location"].startswith("/accounts/reauthenticate/")
    done = client.post(asked["Location"], {"password": PASSWORD})
    assert done["Location"] == "/admin/accounts/user/?q=alice"
    assert User.objects.get(pk=alice.pk).group == group


def test_the_audit_log_is_filtered_by_act_day_and_name(
    admin: Client, alice: User, bob: User, charlie: User
) -> None:
    first = audit.record(actor=charlie, action="user.suspend", subject=alice, reason="spam")
    second = audit.record(actor=None, action="user.restore", subject=bob)
    where = "/admin/core/auditline/"

    def found(query: str) -> list[AuditLine]:
        return list(admin.get(f"{where}?{query}").context["cl"].result_list)

    assert found("") == [second, first]
    assert found("act=user.suspend") == [first]
    assert found("q=alice") == [first]
    assert found(f"q={charlie.email}") == [first]
    assert found(f"until={timezone.localdate() - timedelta(days=1)}") == []


def test_the_audit_log_can_be_read_and_never_written(admin: Client, alice: User) -> None:
    line = audit.record(actor=None, action="user.note", subject=alice)
    where = "/admin/core/auditline/"
    assert admin.get(f"{where}add/").status_code == 403
    for form in ("change", "delete"):
        assert admin.post(f"{where}{line.pk}/{form}/", {"post": "yes"}).status_code == 403
    assert AuditLine.objects.filter(pk=line.pk).exists()


def test_a_line_about_somebody_who_is_gone_still_reads(admin: Client, db: None) -> None:
    gone = User(pk=10**9, email="gone@example.org")
    line = audit.record(actor=None, action="user.delete", subject=gone, before={"note": "<b>"})
    page = words_of(admin.get(f"/admin/core/auditline/{line.pk}/change/"))
    assert "gone@example.org" in page
    assert "&lt;b&gt;" in page
