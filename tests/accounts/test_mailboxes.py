"""One mailbox, one account: whatever its address is written like."""

import importlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.conf import LazySettings
from django.core.mail import EmailMessage
from django.db import IntegrityError, connection
from django.test import Client

from tests.operations.passwords import give_password
from tests.people import PASSWORD, make_user
from webapp.accounts.mailboxes import former_mailbox_of, is_throwaway, mailbox_of
from webapp.accounts.models import User
from webapp.credits.models import Transaction

ALIASES = [
    "A.N.na@gmail.com",
    "anna+studio@gmail.com",
    "Anna@GoogleMail.com",
    "a.nna+1+2@googlemail.com",
]


def sign_up(email: str, client: Client | None = None) -> Any:
    form = {"email": email, "password1": PASSWORD}
    return (client or Client()).post("/accounts/signup/", form)


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("anna@example.org", "anna@example.org"),
        (" Anna@Example.ORG ", "anna@example.org"),
        ("anna+tag@example.org", "anna@example.org"),
        ("a.n.na@example.org", "a.n.na@example.org"),
        *[(alias, "anna@gmail.com") for alias in ALIASES],
        ("anna@bücher.example", "anna@xn--bcher-kva.example"),
        ("anna@xn--bcher-kva.example", "anna@xn--bcher-kva.example"),
        ("+tag@example.org", "+tag@example.org"),
        ("...@gmail.com", "...@gmail.com"),
        ("anna@example.org.", "anna@example.org"),
        ("anna@" + "ü" * 70 + ".example", "anna@" + "ü" * 70 + ".example"),
        ("", ""),
        ("an.na-x_y+z@protonmail.com", "annaxy@proton.me"),
        ("anna@pm.me", "anna@proton.me"),
        ("an-na@proton.me", "anna@proton.me"),
        ("anna.b+x@ya.ru", "anna-b@yandex.ru"),
        ("anna-b@yandex.com", "anna-b@yandex.ru"),
        ("anna+x@me.com", "anna@icloud.com"),
        ("anna@mac.com", "anna@icloud.com"),
        ("anna-sale@yahoo.com", "anna@yahoo.com"),
        ("anna-sale@yahoo.co.kr", "anna@yahoo.co.kr"),
        ("anna-sale@ymail.com", "anna@ymail.com"),
        ("anna-sale@example.org", "anna-sale@example.org"),
        ("sale@anna.fastmail.com", "anna@fastmail.com"),
        ("sale+x@Anna.Fastmail.FM", "anna@fastmail.fm"),
        ("anna+x@fastmail.com", "anna@fastmail.com"),
        ("sale@anna.33mail.com", "anna@33mail.com"),
        ("sale@anna.example.org", "sale@anna.example.org"),
        ("-_-@proton.me", "-_-@proton.me"),
    ],
)
def test_an_address_leads_to_its_mailbox(address: str, mailbox: str) -> None:
    assert mailbox_of(address) == mailbox


@pytest.mark.parametrize("address", ["A.N+x@GoogleMail.com", "a-n+x@yahoo.com", "", "+t@e.org"])
def test_what_a_mailbox_was_before_is_still_worked_out(address: str) -> None:
    before = {"A.N+x@GoogleMail.com": "an@gmail.com", "a-n+x@yahoo.com": "a-n@yahoo.com"}
    assert former_mailbox_of(address) == before.get(address, address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("anna@mailinator.com", True),
        ("anna@mx.Mailinator.com", True),
        ("anna@duck.com", True),
        ("anna@gmail.com", False),
        ("anna@mailinator.com.example", False),
        ("anna", False),
        ("", False),
    ],
)
def test_throwaway_addresses_are_known(address: str, expected: bool) -> None:
    assert is_throwaway(address) is expected


def test_mailboxes_are_worked_out_anew_by_the_rules_of_more_providers(db: None) -> None:
    emails = ["a-x@yahoo.com", "a-y@yahoo.com", "b.c@proton.me", "d@example.org"]
    old = [User.objects.create_user(f"user{number}@example.org") for number in range(4)]
    for user, email in zip(old, emails, strict=True):
        User.objects.filter(pk=user.pk).update(email=email, mailbox=email)
    name = "migrations.accounts.0007_mailboxes_of_providers"
    importlib.import_module(name).work_out(apps, None)
    assert list(User.objects.order_by("pk").values_list("mailbox", flat=True)) == [
        *("a@yahoo.com", "a-y@yahoo.com", "bc@proton.me", "d@example.org")
    ]


def test_a_person_is_kept_with_their_mailbox(db: None) -> None:
    anna = User.objects.create_user("a.nna+x@gmail.com")
    assert User.objects.get(pk=anna.pk).mailbox == "anna@gmail.com"
    stored = User.objects.get(pk=anna.pk)
    stored.email = "bea+x@example.org"
    stored.save(update_fields=["email"])
    assert User.objects.get(pk=anna.pk).mailbox == "bea@example.org"


def test_what_does_not_touch_the_address_leaves_the_mailbox(alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(mailbox=None)
    for stored in (User.objects.get(), User.objects.only("pk").get()):
        stored.save()
        stored.save(update_fields=["last_login"])
    assert User.objects.get().mailbox is None


def test_the_database_itself_refuses_a_second_account_of_a_mailbox(db: None) -> None:
    User.objects.create_user("anna@gmail.com")
    with pytest.raises(IntegrityError):
        User.objects.create_user("a.nna@gmail.com")


@pytest.mark.parametrize("alias", ALIASES)
def test_signing_up_by_an_alias_is_answered_like_an_address_that_is_there(
    db: None, alias: str
) -> None:
    make_user("x")
    User.objects.create_user("anna@gmail.com")
    same, other = sign_up("anna@gmail.com"), sign_up(alias)
    for answer in (same, other):
        assert "already registered" in answer.content.decode()
    assert User.objects.count() == 2


def test_with_verification_an_alias_is_answered_exactly_like_somebody_new(
    db: None, settings: LazySettings, mailoutbox: list[EmailMessage]
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    User.objects.create_user("anna@gmail.com")
    people = ["zoe@gmail.com", "anna@gmail.com", "a.nna+1@gmail.com"]
    answers = [sign_up(one) for one in people]
    assert {(answer.status_code, answer["Location"]) for answer in answers} == {
        (302, "/accounts/confirm-email/")
    }
    pages = [answer.client.get("/accounts/confirm-email/").content.decode() for answer in answers]
    said = {page.replace(one, "...") for page, one in zip(pages, people, strict=True)}
    assert len(said) == 1
    assert User.objects.count() == 2
    assert [mail.to for mail in mailoutbox] == [[one] for one in people]
    assert ["/confirm-email/" in str(mail.body) for mail in mailoutbox] == [True, False, False]


def confirm(mail: EmailMessage) -> Any:
    link = next(word for word in str(mail.body).split() if "/confirm-email/" in word)
    return Client().post(link)


def test_a_hundred_alias_sign_ups_are_one_grant(
    db: None, settings: LazySettings, mailoutbox: list[EmailMessage]
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ACCOUNT_RATE_LIMITS = False
    for number in range(100):
        sign_up(f"{'a.nna' if number % 2 else 'anna'}+{number}@gmail.com")
    for mail in mailoutbox:
        if "/confirm-email/" in str(mail.body):
            confirm(mail)
    assert User.objects.count() == 1
    assert Transaction.objects.filter(kind="grant").count() == 1


def test_the_welcome_waits_until_the_mailbox_is_confirmed(
    db: None, settings: LazySettings, mailoutbox: list[EmailMessage]
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    sign_up("anna@example.org")
    anna = User.objects.get()
    assert anna.account.posted_ucr == 0
    confirm(mailoutbox[0])
    assert User.objects.get().account.posted_ucr == 200_000_000
    confirm(mailoutbox[0])
    assert User.objects.get().account.posted_ucr == 200_000_000


def test_whom_an_administrator_makes_has_the_welcome_at_once(
    db: None, settings: LazySettings
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    anna = User.objects.get(pk=make_user("anna").pk)
    assert anna.account.posted_ucr == 200_000_000


def change_address(client: Client, email: str) -> Any:
    return client.post("/accounts/email/", {"action_add": "", "email": email})


def reauthenticated(client: Client, user: User) -> Client:
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    client.force_login(user)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def test_a_second_confirmed_address_brings_no_second_welcome(
    client: Client, alice: User, settings: LazySettings, mailoutbox: list[EmailMessage]
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    reauthenticated(client, alice)
    change_address(client, "anna@example.org")
    confirm(mailoutbox[-1])
    changed = User.objects.get()
    assert (changed.email, changed.mailbox) == ("anna@example.org", "anna@example.org")
    assert changed.account.posted_ucr == 200_000_000


def test_nobody_moves_to_an_alias_of_somebody_else(
    client: Client, alice: User, bob: User, mailoutbox: list[EmailMessage]
) -> None:
    reauthenticated(client, alice)
    page = change_address(client, "bob+x@example.org")
    assert "already registered" in page.content.decode()
    assert mailoutbox == []
    assert change_address(client, "alice+x@example.org").status_code == 302


def test_an_address_that_nobody_confirmed_is_not_exchanged_for_another(
    client: Client, alice: User, mailoutbox: list[EmailMessage]
) -> None:
    reauthenticated(client, alice)
    EmailAddress.objects.update(verified=False)
    page = change_address(client, "anna@example.org")
    assert "not confirmed" in page.content.decode()
    client.post("/accounts/email/", {"action_remove": "", "email": alice.email})
    assert User.objects.get().email == alice.email
    assert mailoutbox == []


def test_a_mailbox_that_was_taken_meanwhile_is_refused_at_the_confirmation(
    client: Client, alice: User, mailoutbox: list[EmailMessage]
) -> None:
    reauthenticated(client, alice)
    change_address(client, "anna@gmail.com")
    User.objects.create_user("a.nna@gmail.com")
    answer = confirm(mailoutbox[-1])
    assert answer.status_code == 409
    assert "perhaps in a different spelling" in answer.content.decode()
    assert User.objects.get(pk=alice.pk).email == alice.email
    assert not EmailAddress.objects.filter(user=alice, email="anna@gmail.com", verified=True)


def test_an_administrator_gives_nobody_an_alias_of_somebody_else(
    client: Client, alice: User, bob: User, charlie: User
) -> None:
    client.force_login(charlie)
    give_password(client)
    form = {"email": "alice+x@example.org", "is_active": "on"}
    page = client.post(f"/admin/accounts/user/{bob.pk}/change/", form)
    assert "perhaps in a different spelling" in page.content.decode()
    made = {"email": "ALICE+y@example.org", "password1": PASSWORD, "password2": PASSWORD}
    page = client.post("/admin/accounts/user/add/", {**made, "usable_password": "true"})
    assert "perhaps in a different spelling" in page.content.decode()
    assert list(User.objects.order_by("mailbox").values_list("mailbox", flat=True)) == [
        "alice@example.org",
        "bob@example.org",
        "charlie@example.org",
    ]


@pytest.mark.django_db(transaction=True)
def test_parallel_sign_ups_by_aliases_make_one_account(settings: LazySettings) -> None:
    settings.ACCOUNT_RATE_LIMITS = False  # its lock, if it is slow, refuses as well
    barrier = threading.Barrier(6)

    def visit(turn: int) -> int:
        client = Client(raise_request_exception=False)
        barrier.wait()
        try:
            return int(sign_up(f"anna+{turn}@example.org", client).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(visit, range(6)))
    assert User.objects.count() == 1
    assert Transaction.objects.filter(kind="grant").count() == 1
    assert set(statuses) <= {200, 302, 409}


def test_of_those_who_were_there_before_the_first_of_a_mailbox_gets_it(db: None) -> None:
    addresses = ["b@example.org", "a.nna@gmail.com", "anna@gmail.com", "anna+2@gmail.com"]
    User.objects.bulk_create(User(email=address) for address in addresses)
    User.objects.create_user("carl@example.org")
    importlib.import_module("migrations.accounts.0004_mailboxes").fill(apps, None)
    assert list(User.objects.order_by("pk").values_list("mailbox", flat=True)) == [
        "b@example.org",
        "anna@gmail.com",
        None,
        None,
        "carl@example.org",
    ]
