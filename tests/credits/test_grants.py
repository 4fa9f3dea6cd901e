"""Accounts and what the studio gives: once per mailbox, once per key, to one or to many."""

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from tests.people import make_user
from webapp.accounts.models import Invitation, User
from webapp.core.errors import Conflict, NotFound
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import ledger
from webapp.credits.ledger.posting import Posting, post
from webapp.credits.models import Account, Transaction
from webapp.credits.selectors import get_balance
from webapp.operations.audit import find_violations

CREDIT = UCR_PER_CREDIT
CODE = Transaction.Kind.CODE
ALLOWANCE = Transaction.Kind.ALLOWANCE


def posted(user: User) -> int:
    return get_balance(user=user).posted_ucr


def without_account(user: User) -> User:
    """As a user was before the account was opened."""
    ledger.close_account(user=user)
    return user


def test_an_account_can_be_opened_before_the_welcome(db: None) -> None:
    user = without_account(make_user("dora", mailbox="someone@else.example"))
    ledger.open_account(user=user, welcome=False)
    assert posted(user) == 0


def test_a_mailbox_is_welcomed_once_for_ever(alice: User) -> None:
    ledger.close_account(user=alice)
    alice.delete()
    again = make_user("alice")
    assert posted(again) == 0
    assert ledger.grant_welcome(user=again) is False


def test_the_address_itself_stands_for_a_mailbox_that_nobody_worked_out(alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(mailbox=None)
    alice.refresh_from_db()
    assert ledger.grant_welcome(user=alice) is False
    assert posted(alice) == 200 * CREDIT


def test_who_was_welcomed_under_the_old_key_is_not_welcomed_again(db: None) -> None:
    user = without_account(make_user("dora"))
    account = ledger.open_account(user=user, welcome=False)
    # As the first version of Darkroom wrote it, long before mailboxes were known.
    post(
        [
            Posting(
                account_id=account.pk,
                amount_ucr=200 * CREDIT,
                kind=Transaction.Kind.GRANT,
                against=Account.Kind.GRANTS,
                key=f"signup:{user.pk}",
            )
        ]
    )
    User.objects.filter(pk=user.pk).update(mailbox="a-mailbox-that-was-worked-out@later.example")
    user.refresh_from_db()
    assert ledger.grant_welcome(user=user) is False
    assert posted(user) == 200 * CREDIT


def test_an_invitation_gives_its_credits_once_on_top(db: None) -> None:
    invitation = Invitation.objects.create(token_hash="t", grant_ucr=50 * CREDIT)
    user = make_user("dora", invitation=invitation)
    assert posted(user) == 250 * CREDIT
    assert ledger.grant_welcome(user=user) is False
    assert posted(user) == 250 * CREDIT


def test_an_invitation_may_give_nothing(db: None) -> None:
    user = make_user("dora", invitation=Invitation.objects.create(token_hash="t"))
    assert posted(user) == 200 * CREDIT


@override_settings(STARTING_CREDITS=Decimal(0))
def test_an_invitation_gives_where_the_studio_does_not(db: None) -> None:
    invitation = Invitation.objects.create(token_hash="t", grant_ucr=CREDIT)
    assert posted(make_user("dora", invitation=invitation)) == CREDIT


def test_a_grant_is_posted_once_per_key(alice: User) -> None:
    grant: dict[str, Any] = {"user": alice, "amount_ucr": CREDIT, "kind": CODE, "key": "code:1:1"}
    assert ledger.post_grant(**grant, reason="fair", note="stand 4") is True
    assert ledger.post_grant(**grant) is False
    assert posted(alice) == 201 * CREDIT
    line = Transaction.objects.get(idempotency_key="code:1:1")
    assert (line.kind, line.reason, line.note, line.actor) == ("code", "fair", "stand 4", None)


@pytest.mark.parametrize(
    ("amount_ucr", "kind"),
    [(0, CODE), (-1, CODE), (1, Transaction.Kind.TOP_UP), (1, Transaction.Kind.CAPTURE)],
)
def test_what_is_no_grant_is_refused(alice: User, amount_ucr: int, kind: Transaction.Kind) -> None:
    with pytest.raises(ValueError, match="is no grant"):
        ledger.post_grant(user=alice, amount_ucr=amount_ucr, kind=kind, key="k")
    with pytest.raises(ValueError, match="is no grant"):
        ledger.post_grants(
            kind=kind, lines=[(alice.pk, CREDIT, "k1"), (alice.pk, amount_ucr, "k2")]
        )
    assert posted(alice) == 200 * CREDIT


def test_grants_for_many_skip_what_was_posted_and_who_is_gone(alice: User, bob: User) -> None:
    lines = [(alice.pk, CREDIT, "m:a"), (bob.pk, 2 * CREDIT, "m:b"), (0, CREDIT, "m:0")]
    assert ledger.post_grants(kind=ALLOWANCE, lines=lines[:1]) == 1
    assert ledger.post_grants(kind=ALLOWANCE, lines=lines, reason="May") == 1
    assert ledger.post_grants(kind=ALLOWANCE, lines=lines) == 0
    assert ledger.post_grants(kind=ALLOWANCE, lines=[]) == 0
    assert (posted(alice), posted(bob)) == (201 * CREDIT, 202 * CREDIT)
    assert Transaction.objects.get(idempotency_key="m:b").reason == "May"


def test_one_person_may_have_several_grants_at_once(alice: User) -> None:
    lines = [(alice.pk, number * CREDIT, f"m:{number}") for number in (3, 1, 2)]
    assert ledger.post_grants(kind=ALLOWANCE, lines=lines) == 3
    assert posted(alice) == 206 * CREDIT
    assert list(find_violations(files=False)) == []


def test_grants_for_many_cost_as_many_statements_as_for_one(db: None) -> None:
    people = [make_user(f"user{number}") for number in range(12)]
    lines = [(user.pk, CREDIT, f"m:{user.pk}") for user in people]
    with CaptureQueriesContext(connection) as one:
        ledger.post_grants(kind=ALLOWANCE, lines=lines[:1])
    with CaptureQueriesContext(connection) as many:
        ledger.post_grants(kind=ALLOWANCE, lines=lines)
    assert len(many) == len(one)


def test_a_closed_account_keeps_its_pseudonym_and_its_lines(alice: User) -> None:
    account = Account.objects.get(user=alice)
    ledger.close_account(user=alice)
    ledger.close_account(user=alice)
    alice.delete()
    closed = Account.objects.get(pk=account.pk)
    assert (closed.user, str(closed), closed.entries.count()) == (None, str(account.pseudonym), 1)
    assert list(find_violations(files=False)) == []


def test_an_account_with_open_holds_is_not_closed(alice: User) -> None:
    ledger.hold_for_images(user=alice, amounts_ucr={uuid.uuid4(): CREDIT})
    with pytest.raises(Conflict, match="still being generated"):
        ledger.close_account(user=alice)
    assert Account.objects.filter(user=alice).exists()


def test_a_closed_account_takes_and_gives_nothing(alice: User, charlie: User) -> None:
    ledger.close_account(user=alice)
    by_hand: dict[str, Any] = {"user": alice, "actor": charlie, "reason": "prize", "key": "k"}
    attempts: list[Callable[[], object]] = [
        lambda: ledger.hold_for_images(user=alice, amounts_ucr={uuid.uuid4(): CREDIT}),
        lambda: ledger.hold_for_images(user=alice, amounts_ucr={uuid.uuid4(): 0}),
        lambda: ledger.top_up(amount_ucr=CREDIT, **by_hand),
        lambda: ledger.adjust(amount_ucr=-CREDIT, **by_hand),
        lambda: ledger.post_grant(user=alice, amount_ucr=CREDIT, kind=CODE, key="k"),
        lambda: ledger.grant_welcome(user=alice),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound, match="This account is closed"):
            attempt()
