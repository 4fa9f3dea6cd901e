"""Invitations in the admin site: made with a password, shown once, mailed, revoked."""

import re
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client

from tests.people import PASSWORD, make_user
from webapp.accounts.models import Invitation, User, UserGroup
from webapp.core.models import AuditLine

MAKE = "/admin/accounts/invitation/make/"
TERMS = {"note": "", "email": "", "group": "", "grant": "0", "uses": "1", "last_day": ""}


@pytest.fixture
def admin(charlie: User) -> Client:
    """Signed in, and the password was given again a moment ago."""
    client = Client()
    client.post("/accounts/login/", {"login": charlie.email, "password": PASSWORD})
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def make(client: Client, **terms: str) -> Any:
    return client.post(MAKE, {**TERMS, **terms, "answer_with": "make"}, follow=True)


def link_on(page: Any) -> str:
    found = re.search(r'value="(https?://\S+/invite/\S+/)"', page.content.decode())
    assert found is not None
    return found.group(1)


def test_an_invitation_is_made_and_its_link_shown_once(admin: Client) -> None:
    friends = UserGroup.objects.create(name="Friends")
    page = make(admin, note="for the club", grant="12.5", uses="3", group=str(friends.pk))
    assert "no-store" in page["Cache-Control"]
    link = link_on(page)
    made = Invitation.objects.get()
    assert (made.note, made.grant_ucr, made.uses_left, made.group) == (
        "for the club",
        12_500_000,
        3,
        friends,
    )
    visitor = Client()
    visitor.get(link)
    visitor.post("/accounts/signup/", {"email": "dora@example.org", "password1": PASSWORD})
    token = link.rstrip("/").rpartition("/")[2]
    for path in ("", f"{made.pk}/change/"):
        listed = admin.get(f"/admin/accounts/invitation/{path}").content.decode()
        assert "1 / 3" in listed
        assert "for the club" in listed
        assert token not in listed
    came = f"/admin/accounts/user/?invitation__id__exact={made.pk}"
    assert came.partition("?")[2] in admin.get("/admin/accounts/invitation/").content.decode()
    people = admin.get(came).content.decode()
    assert "dora@example.org" in people


def test_without_the_password_nothing_is_made(charlie: User) -> None:
    client = Client()
    client.force_login(charlie)
    answer = client.post(MAKE, {**TERMS, "answer_with": "make"})
    assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert not Invitation.objects.exists()
    page = client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": MAKE})
    assert link_on(page)
    assert Invitation.objects.count() == 1


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ({"uses": "0"}, "for 1 to 10000 people"),
        ({"uses": "many"}, "whole number"),
        ({"grant": "-1"}, "can give 0 to"),
        ({"grant": "0.0000001"}, "Enter at most 6 decimals."),
        ({"grant": "much"}, "“much” is not a number. Write it like 12.5."),
        ({"email": "dora"}, "valid email"),
        ({"email": "charlie+x@example.org"}, "account with this address already"),
        ({"email": "dora@example.org", "uses": "2"}, "for one person"),
        ({"last_day": "2020-01-01"}, "Choose today or a later day"),
        ({"last_day": "soon"}, "valid date"),
        ({"last_day": "9999-12-31"}, "Choose today or a later day"),
        ({"group": "77"}, "valid choice"),
    ],
)
def test_what_no_invitation_can_be_is_said_in_a_sentence(
    admin: Client, terms: dict[str, str], sentence: str
) -> None:
    page = make(admin, **terms)
    assert page.status_code == 400
    assert sentence in page.content.decode()
    assert not Invitation.objects.exists()


def test_one_for_an_address_is_mailed_to_it(
    admin: Client, settings: Any, mailoutbox: list[EmailMessage]
) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    settings.PUBLIC_URL = "https://studio.example.org"
    page = make(admin, email="dora@example.org", grant="5")
    assert "sent to dora@example.org" in page.content.decode()
    (mail,) = mailoutbox
    assert mail.to == ["dora@example.org"]
    assert link_on(page) in str(mail.body)
    assert "5.00 extra credits" in str(mail.body)
    make(admin)
    assert len(mailoutbox) == 1


def test_without_mail_the_link_is_only_shown(admin: Client, mailoutbox: list[EmailMessage]) -> None:
    assert link_on(make(admin, email="dora@example.org"))
    assert mailoutbox == []


def test_a_mail_server_that_is_away_costs_no_invitation(
    admin: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: Any) -> int:
        raise ConnectionRefusedError

    settings.EMAIL_HOST = "mail.example.org"
    monkeypatch.setattr(EmailBackend, "send_messages", away)
    page = make(admin, email="dora@example.org")
    assert link_on(page)
    assert "sent to" not in page.content.decode()


def test_one_that_is_taken_back_works_no_more(admin: Client) -> None:
    link = link_on(make(admin))
    made = Invitation.objects.get()
    url = f"/admin/accounts/invitation/{made.pk}/revocation/"
    assert "Nobody else can sign up" in admin.get(url).content.decode()
    page = admin.post(url, {"answer_with": "revoke"}, follow=True)
    assert "The link no longer works." in page.content.decode()
    assert "revoked on" in page.content.decode()
    assert Client().get(link).status_code == 404
    admin.post(url, {"answer_with": "revoke"})
    actions = AuditLine.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["invitation.create", "invitation.revoke"]


def test_only_who_may_add_invitations_makes_or_revokes_them(admin: Client) -> None:
    make(admin)
    made = Invitation.objects.get()
    client = Client()
    client.force_login(make_user("dora", is_staff=True))
    for path in ("make/", f"{made.pk}/revocation/"):
        for method in ("get", "post"):
            answer = getattr(client, method)(f"/admin/accounts/invitation/{path}")
            assert answer.status_code == 403
    assert Invitation.objects.get().revoked_at is None


@pytest.mark.parametrize(
    ("mode", "words"),
    [("open", "Anybody can"), ("invite", "invitation-only"), ("closed", "is closed")],
)
def test_the_form_says_what_an_invitation_is_good_for(
    admin: Client, settings: Any, mode: str, words: str
) -> None:
    settings.SIGNUP = mode
    assert words in admin.get(MAKE).content.decode()
