"""What administrators do to a person from that person's page; each with a reason and a password."""

import io
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from django.test import Client

from tests.people import PASSWORD, make_user
from webapp.accounts.models import User
from webapp.core.models import AuditLine
from webapp.operations.people import finish_deletions

ACTS = ["eyes", "welcome", "second-step", "suspension", "restoration", "deletion"]


@pytest.fixture
def admin(charlie: User) -> Client:
    client = Client()
    client.post("/accounts/login/", {"login": charlie.email, "password": PASSWORD})
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def act(client: Client, person: User, what: str, reason: str = "asked by mail") -> Any:
    return client.post(url_of(person, what), {"reason": reason, "answer_with": "x"}, follow=True)


def url_of(person: User, what: str) -> str:
    return f"/admin/accounts/user/{person.pk}/{what}/"


def test_switching_off_and_on(admin: Client, alice: User) -> None:
    page = act(admin, alice, "suspension", reason="draws by script").content.decode()
    assert "The account is suspended." in page
    assert not User.objects.get(pk=alice.pk).is_active
    assert "draws by script" in admin.get(url_of(alice, "restoration")).content.decode()
    assert "The suspension is lifted." in act(admin, alice, "restoration").content.decode()
    assert User.objects.get(pk=alice.pk).is_active


def test_deleting(admin: Client, alice: User) -> None:
    page = act(admin, alice, "deletion")
    assert page.redirect_chain[-1][0] == "/admin/accounts/user/"
    assert "is being deleted" in page.content.decode()
    assert finish_deletions() == 1


def test_looking_through_their_eyes(admin: Client, alice: User) -> None:
    page = act(admin, alice, "eyes")
    assert page.redirect_chain[-1][0] == "/"
    assert f"You are viewing the studio as <strong>{alice.email}</strong>" in page.content.decode()
    line = AuditLine.objects.get(action="user.act_as")
    assert (line.subject_name, line.reason) == (alice.email, "asked by mail")


def test_giving_the_welcome_credits_that_wait(admin: Client, alice: User) -> None:
    page = admin.get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    assert "wait for an administrator" not in page
    dora = User(email="dora@mailinator.com")
    dora.signup_address = "192.0.2.1"
    dora.save()
    assert dora.email in admin.get("/admin/accounts/user/?welcome=1").content.decode()
    assert alice.email not in admin.get("/admin/accounts/user/?welcome=1").content.decode()
    page = admin.get(f"/admin/accounts/user/{dora.pk}/change/").content.decode()
    assert "The welcome credits wait for an administrator" in page
    assert url_of(dora, "welcome") in page
    assert "disposable" in admin.get(url_of(dora, "welcome")).content.decode()
    page = act(admin, dora, "welcome", reason="known to us").content.decode()
    assert "The welcome credits were given." in page
    assert User.objects.get(pk=dora.pk).account.posted_ucr == 200_000_000
    page = act(admin, dora, "welcome").content.decode()
    assert "No welcome credits are waiting for this user." in page


def test_taking_a_lost_second_step_off(admin: Client, alice: User) -> None:
    page = admin.get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    assert "Turn off two-factor authentication" not in page
    refused = act(admin, alice, "second-step")
    assert "This account does not use two-factor authentication." in refused.content.decode()
    Authenticator.objects.create(user=alice, type="totp", data={"secret": "x"})
    page = admin.get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    assert "Turn off two-factor authentication" in page
    page = act(admin, alice, "second-step").content.decode()
    assert "The password alone is enough to sign in again." in page
    assert not Authenticator.objects.exists()
    line = AuditLine.objects.get(action="user.second_step_off")
    assert (line.subject_name, line.reason) == (alice.email, "asked by mail")


def test_the_last_administrator_is_helped_on_the_command_line(charlie: User) -> None:
    Authenticator.objects.create(user=charlie, type="totp", data={"secret": "x"})
    said = io.StringIO()
    call_command("second_step_off", "CHARLIE@example.org", stdout=said)
    assert said.getvalue() == "The password alone opens charlie@example.org again.\n"
    assert AuditLine.objects.get().actor_id is None
    with pytest.raises(CommandError, match="does not use two-factor"):
        call_command("second_step_off", charlie.email)
    with pytest.raises(CommandError, match="There is no account nobody@"):
        call_command("second_step_off", "nobody@example.org")


@pytest.mark.parametrize("what", ACTS)
def test_each_asks_for_the_password_before_anything_happens(
    alice: User, charlie: User, what: str
) -> None:
    client = Client()
    client.force_login(charlie)
    assert client.get(url_of(alice, what)).status_code == 200
    answer = client.post(url_of(alice, what), {"reason": "asked by mail"})
    assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert User.objects.get(pk=alice.pk).is_active
    assert not AuditLine.objects.exists()
    assert "acting_as" not in client.session


@pytest.mark.parametrize("what", ACTS)
def test_each_needs_a_reason(admin: Client, alice: User, what: str) -> None:
    for reason in ("", " ", "x" * 201):
        assert act(admin, alice, what, reason=reason).status_code == 400
    assert not AuditLine.objects.exists()


@pytest.mark.parametrize("what", ACTS)
@pytest.mark.parametrize("method", ["get", "post"])
def test_each_is_for_administrators_with_all_rights(
    admin: Client, alice: User, what: str, method: str
) -> None:
    client = Client()
    client.force_login(make_user("dora", is_staff=True))
    assert getattr(client, method)(url_of(alice, what)).status_code == 403
    assert getattr(admin, method)(f"/admin/accounts/user/999999/{what}/").status_code == 404


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("eyes", "Administrators and suspended accounts"),
        ("suspension", "suspend your own account."),
        ("restoration", "This account is not suspended"),
        ("deletion", "This is the last administrator."),
    ],
)
def test_what_makes_no_sense_is_refused_on_the_form(
    admin: Client, charlie: User, what: str, sentence: str
) -> None:
    page = act(admin, charlie, what)
    assert page.status_code == 400
    assert sentence in page.content.decode()
    assert not AuditLine.objects.exists()
