"""Whose starting credits come by themselves, and whose wait for an administrator."""

from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.account.signals import email_confirmed
from django.conf import LazySettings
from django.contrib.messages.storage.fallback import FallbackStorage
from django.db import connection
from django.test import Client, RequestFactory
from django.utils import timezone, translation

from tests.credits.races import race
from tests.pages import serve_plain_static
from tests.people import PASSWORD, make_user
from webapp.accounts.models import Invitation, User
from webapp.core.errors import Conflict
from webapp.core.models import AuditLine, Notice
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import ledger
from webapp.credits.models import Account, NetworkWelcomes
from webapp.credits.selectors import get_balance
from webapp.credits.welcomes import forget_networks, give_held_welcome, held_sentence, welcome_user

CREDIT = UCR_PER_CREDIT


@pytest.fixture
def plain_static(settings: LazySettings) -> None:
    serve_plain_static(settings)


def visitor(name: str, address: str = "192.0.2.1", **extra: Any) -> User:
    """Somebody who signs up by themselves."""
    email = name if "@" in name else f"{name}@example.org"
    user = User(email=email, **extra)
    user.signup_address = address
    user.save()
    return user


def have(user: User) -> int:
    return get_balance(user=user).posted_ucr // CREDIT


def held(user: User) -> str:
    return Account.objects.get(user=user).welcome_held


def test_a_class_behind_one_address_is_welcomed(db: None) -> None:
    assert {have(visitor(f"pupil{number}")) for number in range(35)} == {200}


def test_without_mail_an_address_is_welcomed_so_often_a_day(
    db: None, settings: LazySettings
) -> None:
    settings.WELCOMES_PER_ADDRESS = 2
    people = [visitor(f"user{number}") for number in range(4)]
    neighbour = visitor("neighbour", "192.0.2.2")
    assert [have(user) for user in people] == [200, 200, 0, 0]
    assert [held(user) for user in people] == ["", "", "network", "network"]
    assert have(neighbour) == 200


def test_with_mail_addresses_are_not_counted_but_networks_are(
    db: None, settings: LazySettings
) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    settings.WELCOMES_PER_ADDRESS = 1
    settings.WELCOMES_PER_NETWORK = 3
    people = [visitor(f"user{number}", f"192.0.2.{number // 2}") for number in range(4)]
    assert [have(user) for user in people] == [200, 200, 200, 0]
    assert have(visitor("elsewhere", "192.0.3.1")) == 200


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("2001:db8:1:1::1", "2001:db8:1:2::1", True),
        ("2001:db8:1::1", "2001:db8:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.200", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("local", "local", True),
        ("local", "unknown", False),
    ],
)
def test_neighbours_share_their_networks_places(
    db: None, settings: LazySettings, first: str, second: str, is_same: bool
) -> None:
    settings.WELCOMES_PER_NETWORK = 1
    visitor("one", first)
    assert have(visitor("two", second)) == (0 if is_same else 200)


def test_0_leaves_every_welcome_to_an_administrator(db: None, settings: LazySettings) -> None:
    settings.WELCOMES_PER_NETWORK = 0
    assert held(visitor("dora")) == "network"
    assert not NetworkWelcomes.objects.exists()


def test_where_people_came_from_is_kept_as_a_hash_alone(db: None) -> None:
    visitor("dora", "192.0.2.1")
    for line in NetworkWelcomes.objects.all():
        assert "192.0.2" not in line.network
        assert str(line) == f"{line.day} {line.network[:8]} 1"


def test_a_place_of_the_network_is_not_used_up_by_an_address_that_has_none(
    db: None, settings: LazySettings
) -> None:
    settings.WELCOMES_PER_NETWORK, settings.WELCOMES_PER_ADDRESS = 2, 1
    for number in range(5):
        visitor(f"user{number}")
    assert have(visitor("neighbour", "192.0.2.2")) == 200


def test_whoever_has_nothing_to_get_takes_no_place(db: None, settings: LazySettings) -> None:
    settings.STARTING_CREDITS = 0
    visitor("dora")
    assert not NetworkWelcomes.objects.exists()


def test_invited_people_and_those_an_administrator_makes_never_wait(
    db: None, settings: LazySettings
) -> None:
    settings.WELCOMES_PER_NETWORK = 0
    invitation = Invitation.objects.create(token_hash="t", grant_ucr=50 * CREDIT)
    assert have(visitor("dora@mailinator.com", invitation=invitation)) == 250
    assert have(make_user("emil")) == 200


@pytest.mark.parametrize(
    "email", ["dora@mailinator.com", "dora@mx.mailinator.com", "x1y2@duck.com", "a@b.anonaddy.com"]
)
def test_a_throwaway_address_waits(db: None, email: str) -> None:
    user = visitor(email)
    assert (have(user), held(user)) == (0, "throwaway")


def test_the_next_day_has_places_again_and_old_days_are_forgotten(
    db: None, settings: LazySettings
) -> None:
    settings.WELCOMES_PER_NETWORK = 1
    visitor("one")
    today = timezone.localdate()
    NetworkWelcomes.objects.update(day=today - timedelta(days=8))
    assert have(visitor("two")) == 200
    assert forget_networks(today=today) == 2
    assert NetworkWelcomes.objects.filter(day=today).count() == 2


@pytest.mark.django_db(transaction=True)
def test_of_twelve_sign_ups_in_the_same_instant_three_are_welcomed(settings: LazySettings) -> None:
    settings.WELCOMES_PER_NETWORK = 3

    def come(number: int) -> Any:
        def sign_up() -> int:
            try:
                return have(visitor(f"user{number}"))
            finally:
                connection.close()

        return sign_up

    assert sorted(race([come(number) for number in range(12)])) == [0] * 9 + [200] * 3


# -- What the person and the administrators see


@pytest.mark.usefixtures("plain_static", "valkey_is_empty")
def test_the_person_is_told_in_a_sentence_and_has_an_account(
    client: Client, db: None, settings: LazySettings
) -> None:
    settings.WELCOMES_PER_NETWORK = 0
    form = {"email": "dora@example.org", "password1": PASSWORD}
    page = client.post("/accounts/signup/", form, follow=True).content.decode()
    sentence = "because many accounts were created from your network today"
    assert sentence in page
    assert sentence in client.get("/credits/").content.decode()


@pytest.mark.usefixtures("plain_static", "valkey_is_empty")
def test_who_is_welcomed_reads_nothing_of_it(client: Client, db: None) -> None:
    form = {"email": "dora@example.org", "password1": PASSWORD}
    page = client.post("/accounts/signup/", form, follow=True).content.decode()
    assert "come from an administrator" not in page + client.get("/credits/").content.decode()


def test_the_administrators_are_told_in_the_studios_language(
    db: None, settings: LazySettings
) -> None:
    with translation.override("ko"):
        visitor("dora@mailinator.com")
    notice = Notice.objects.get()
    assert "are waiting for their welcome credits" in notice.sentence
    assert "dora@mailinator.com" in notice.detail


def test_an_administrator_gives_what_waits_once(charlie: User) -> None:
    user = visitor("dora@mailinator.com")
    give_held_welcome(user=user, actor=charlie, reason="known to us")
    assert (have(user), held(user), held_sentence(Account.objects.get(user=user))) == (200, "", "")
    line = AuditLine.objects.get()
    assert (line.action, line.reason) == ("user.welcome", "known to us")
    with pytest.raises(Conflict, match="No welcome credits are waiting for this user"):
        give_held_welcome(user=user, actor=charlie, reason="again")


def test_nothing_is_given_if_the_mailbox_had_it_meanwhile(charlie: User) -> None:
    user = visitor("dora@mailinator.com")
    ledger.grant_welcome(user=user)
    Account.objects.filter(user=user).update(welcome_held="throwaway")
    with pytest.raises(Conflict, match="already received its welcome credits"):
        give_held_welcome(user=user, actor=charlie, reason="again")
    assert (have(user), held(user)) == (200, "throwaway")


def test_the_sentence_says_why(db: None) -> None:
    assert "disposable" in held_sentence(Account(welcome_held="throwaway"))
    assert "network" in held_sentence(Account(welcome_held="network"))


# -- With mail, when the mailbox is confirmed


def confirm(user: User, address: str = "192.0.2.1") -> Any:
    request = RequestFactory().get("/", REMOTE_ADDR=address)
    request.session = {}  # type: ignore[assignment]
    request._messages = FallbackStorage(request)  # type: ignore[attr-defined]
    mailbox = EmailAddress(user=user, email=user.email, verified=True)
    email_confirmed.send(EmailAddress, request=request, email_address=mailbox)
    return [str(one) for one in request._messages]  # type: ignore[attr-defined]


def test_the_place_is_taken_when_the_mailbox_is_confirmed_from_wherever_that_is(
    db: None, settings: LazySettings
) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    settings.WELCOMES_PER_NETWORK = 1
    people = []
    for number in range(3):
        user = User(email=f"user{number}@example.org")
        user.welcome_waits, user.signup_address = True, "192.0.2.1"
        user.save()
        people.append(user)
    assert not NetworkWelcomes.objects.exists()
    told = [confirm(user) for user in people]
    assert [have(user) for user in people] == [200, 0, 0]
    assert [len(one) for one in told] == [0, 1, 1]
    confirm(people[1], "198.51.100.1")
    assert have(people[1]) == 200


def test_the_books_are_right_whoever_waits(alice: User, settings: LazySettings) -> None:
    from webapp.operations.audit import find_violations

    settings.WELCOMES_PER_NETWORK = 1
    visitor("one")
    two = visitor("two")
    welcome_user(user=two, address="198.51.100.1")
    assert (have(two), held(two)) == (200, "")
    assert not list(find_violations(files=False))
