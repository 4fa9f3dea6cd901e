"""Invitations: who may use one, what it gives, and that a use is never spent twice."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests.people import PASSWORD, make_user
from webapp.accounts.invitations import InvitationTerms, make_invitation, revoke_invitation
from webapp.accounts.models import Invitation, User, UserGroup
from webapp.core.errors import InvalidInput
from webapp.core.models import AuditLine
from webapp.credits.models import Transaction


@pytest.fixture
def by_invitation(settings: LazySettings) -> None:
    settings.SIGNUP = "invite"


def sign_up(client: Client, email: str = "dora@example.org") -> Any:
    return client.post("/accounts/signup/", {"email": email, "password1": PASSWORD})


def invite(actor: User, **terms: Any) -> str:
    _invitation, token = make_invitation(actor=actor, terms=InvitationTerms(**terms))
    return f"/invite/{token}/"


def test_without_an_invitation_the_sign_up_page_asks_for_one(
    client: Client, db: None, by_invitation: None
) -> None:
    for answer in (client.get("/accounts/signup/"), sign_up(client)):
        assert answer.status_code == 200
        assert "This studio is invitation-only" in answer.content.decode()
    assert not User.objects.exists()


def test_an_invitation_leads_to_sign_up_and_gives_what_it_promises(
    client: Client, charlie: User, by_invitation: None
) -> None:
    friends = UserGroup.objects.create(name="Friends")
    url = invite(charlie, grant_ucr=50_000_000, group=friends, uses=2)
    page = client.get(url, follow=True)
    assert page.redirect_chain == [("/accounts/signup/", 302)]
    assert "You were invited and get 50.00 extra credits." in page.content.decode()
    assert sign_up(client)["Location"] == "/"
    dora = User.objects.get(email="dora@example.org")
    assert (dora.group, dora.invitation) == (friends, Invitation.objects.get())
    assert dora.account.posted_ucr == 250_000_000
    assert Invitation.objects.get().uses_left == 1


def test_what_an_invitation_gives_waits_for_the_mailbox_too(
    client: Client, charlie: User, settings: LazySettings, mailoutbox: list[EmailMessage]
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    client.get(invite(charlie, grant_ucr=50_000_000))
    sign_up(client)
    dora = User.objects.get(email="dora@example.org")
    assert dora.account.posted_ucr == 0
    link = next(word for word in str(mailoutbox[0].body).split() if "/confirm-email/" in word)
    client.post(link)
    dora.account.refresh_from_db()
    assert dora.account.posted_ucr == 250_000_000


def test_only_the_hash_of_a_token_is_kept(charlie: User) -> None:
    invitation, token = make_invitation(actor=charlie, terms=InvitationTerms(note="for Dora"))
    assert len(token) * 6 >= 128
    values = [str(value) for value in Invitation.objects.values().get(pk=invitation.pk).values()]
    assert not any(token in value for value in values)
    assert token not in str(list(AuditLine.objects.values()))


@pytest.mark.parametrize("why", ["unknown", "used up", "too old", "taken back"])
def test_an_invitation_that_cannot_be_used_says_so(
    client: Client, charlie: User, by_invitation: None, why: str
) -> None:
    invitation, token = make_invitation(actor=charlie, terms=InvitationTerms())
    if why == "unknown":
        token = "nothing"
    elif why == "used up":
        Invitation.objects.update(uses_left=0)
    elif why == "too old":
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        assert revoke_invitation(invitation=invitation, actor=charlie)
    answer = client.get(f"/invite/{token}/")
    assert answer.status_code == 404
    assert "Ask for a new one" in answer.content.decode()
    assert "invitation-only" in client.get("/accounts/signup/").content.decode()


@pytest.mark.parametrize("mode", ["open", "invite"])
def test_an_invitation_that_ends_while_the_form_is_filled_in_makes_no_account(
    client: Client, charlie: User, settings: LazySettings, mode: str
) -> None:
    settings.SIGNUP = mode
    client.get(invite(charlie))
    Invitation.objects.update(revoked_at=timezone.now())
    answer = sign_up(client)
    assert answer.status_code == 409
    assert "used up or revoked" in answer.content.decode()
    assert not User.objects.exclude(pk=charlie.pk).exists()
    assert sign_up(client).status_code == (302 if mode == "open" else 200)
    assert User.objects.exclude(pk=charlie.pk).exists() == (mode == "open")


def test_an_invitation_does_not_open_a_closed_studio(
    client: Client, charlie: User, settings: LazySettings
) -> None:
    settings.SIGNUP = "closed"
    page = client.get(invite(charlie), follow=True)
    assert "Sign-up is closed" in page.content.decode()
    assert "Sign-up is closed" in sign_up(client).content.decode()
    assert Invitation.objects.get().uses_left == 1


def test_an_invitation_for_one_address_is_for_nobody_else(
    client: Client, charlie: User, by_invitation: None
) -> None:
    page = client.get(invite(charlie, email="Dora@Example.org"), follow=True)
    assert 'value="dora@example.org"' in page.content.decode()
    answer = sign_up(client, "eve@example.org")
    assert "for another e-mail address" in answer.content.decode()
    assert Invitation.objects.get().uses_left == 1
    assert sign_up(client, "DORA@example.org").status_code == 302


def test_whoever_is_signed_in_spends_no_invitation(client: Client, charlie: User) -> None:
    client.force_login(charlie)
    assert client.get(invite(charlie))["Location"] == "/"
    assert "invitation" not in client.session


def test_a_refused_password_spends_no_use(client: Client, charlie: User) -> None:
    client.get(invite(charlie))
    client.post("/accounts/signup/", {"email": "dora@example.org", "password1": "short"})
    assert Invitation.objects.get().uses_left == 1


@pytest.mark.django_db(transaction=True)
def test_two_people_and_one_use_make_one_account(settings: LazySettings) -> None:
    settings.SIGNUP = "invite"
    settings.ACCOUNT_RATE_LIMITS = False  # its lock, if it is slow, refuses as well
    charlie = make_user("charlie", is_staff=True, is_superuser=True)
    url, barrier = invite(charlie, grant_ucr=1_000_000), threading.Barrier(4)

    def visit(turn: int) -> int:
        client = Client()
        client.get(url)
        barrier.wait()
        try:
            return int(sign_up(client, f"user{turn}@example.org").status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(visit, range(4)))
    assert statuses == [302, 409, 409, 409]
    assert User.objects.exclude(pk=charlie.pk).count() == 1
    assert Invitation.objects.get().uses_left == 0
    assert Transaction.objects.filter(kind="invitation").count() == 1


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"uses": 0}, "uses"),
        ({"uses": 10_001}, "uses"),
        ({"grant_ucr": -1}, "grant"),
        ({"grant_ucr": 10**12 + 1}, "grant"),
        ({"expires_at": timezone.now() - timedelta(days=1)}, "expires_at"),
        ({"email": "dora"}, "email"),
        ({"email": "dora@example.org", "uses": 2}, "uses"),
        ({"email": "charlie+x@example.org"}, "email"),
    ],
)
def test_terms_that_no_invitation_can_have_are_refused(
    charlie: User, terms: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        make_invitation(actor=charlie, terms=InvitationTerms(**terms))
    assert refusal.value.field == field
    assert not Invitation.objects.exists()
    assert not AuditLine.objects.exists()


def test_making_and_taking_back_are_written_down(charlie: User) -> None:
    invitation, _token = make_invitation(actor=charlie, terms=InvitationTerms(grant_ucr=5_000_000))
    assert revoke_invitation(invitation=invitation, actor=charlie)
    assert not revoke_invitation(invitation=invitation, actor=charlie)
    lines = AuditLine.objects.order_by("pk").values_list("action", "actor_name", "subject_kind")
    assert list(lines) == [
        ("invitation.create", charlie.email, "invitation"),
        ("invitation.revoke", charlie.email, "invitation"),
    ]
    assert AuditLine.objects.earliest("pk").after["grant"] == "5.00"
