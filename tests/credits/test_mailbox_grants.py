"""What is given once is given once to a mailbox, not again to the next account of its owner."""

import importlib
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from tests.people import PASSWORD
from webapp.accounts.models import Invitation, User, UserGroup
from webapp.core.errors import Conflict
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import codes, ledger
from webapp.credits.allowances import give_allowances
from webapp.credits.code_text import derive_code, write_code
from webapp.credits.ledger.mailbox_grants import digest_mailbox
from webapp.credits.models import Account, CodeBatch, MailboxGrant, Transaction
from webapp.credits.selectors import get_balance
from webapp.operations.audit import find_violations

CREDIT = UCR_PER_CREDIT
DORA = "dora@example.org"
MARCH = datetime(datetime.now(UTC).year + 1, 3, 2, 12, tzinfo=UTC)
APRIL = MARCH.replace(month=4)


@pytest.fixture
def invitation(db: None) -> Invitation:
    return Invitation.objects.create(token_hash="t", grant_ucr=50 * CREDIT, uses=9, uses_left=9)


@pytest.fixture
def group(db: None) -> UserGroup:
    return UserGroup.objects.create(name="club", allowance="add", allowance_ucr=30 * CREDIT)


def make_batch(actor: User, **changes: Any) -> CodeBatch:
    body: dict[str, Any] = {"name": "fair", "amount_ucr": 5 * CREDIT, "count": 2}
    return codes.create_batch(
        **{"batch_id": uuid.uuid4(), "actor": actor, "uses_per_code": 9, **body, **changes}
    )


def text_of(batch: CodeBatch, number: int = 1) -> str:
    return write_code(derive_code(batch_id=batch.pk, number=number))


def sign_up(email: str = DORA, **extra: Any) -> User:
    return User.objects.create_user(email, PASSWORD, **extra)


def leave(user: User) -> None:
    ledger.close_account(user=user)
    user.delete()


def move(user: User, email: str) -> None:
    user.email = email
    user.save()


def have(user: User) -> int:
    return get_balance(user=user).posted_ucr // CREDIT


def test_who_leaves_and_comes_again_collects_nothing_twice(
    charlie: User, invitation: Invitation, group: UserGroup
) -> None:
    batch = make_batch(charlie)
    balances, refusals = [], []
    for email in (DORA, DORA, "dora+again@example.org"):
        user = sign_up(email, invitation=invitation, group=group)
        give_allowances(now=MARCH)
        try:
            codes.redeem_code(user=user, text=text_of(batch))
        except Conflict as error:
            refusals.append(error.sentence)
        balances.append(have(user))
        leave(user)
    assert balances == [285, 0, 0]
    assert refusals == ["You have redeemed this code already."] * 2
    assert not list(find_violations(files=False))


def test_the_next_month_and_other_invitations_and_codes_are_given(
    charlie: User, group: UserGroup, invitation: Invitation
) -> None:
    batch, other = make_batch(charlie), make_batch(charlie, amount_ucr=7 * CREDIT)
    first = sign_up(group=group, invitation=invitation)
    give_allowances(now=MARCH)
    codes.redeem_code(user=first, text=text_of(batch))
    leave(first)
    another = Invitation.objects.create(token_hash="u", grant_ucr=1 * CREDIT)
    again = sign_up(group=group, invitation=another)
    give_allowances(now=APRIL)
    codes.redeem_code(user=again, text=text_of(other))
    assert have(again) == 1 + 30 + 7


def test_codes_of_a_batch_are_counted_over_the_accounts_of_a_mailbox(charlie: User) -> None:
    batch = make_batch(charlie, per_user_limit=2, count=3)
    first = sign_up()
    codes.redeem_code(user=first, text=text_of(batch, 1))
    leave(first)
    again = sign_up()
    codes.redeem_code(user=again, text=text_of(batch, 2))
    with pytest.raises(Conflict, match="already redeemed 2 codes of this kind"):
        codes.redeem_code(user=again, text=text_of(batch, 3))


def test_a_change_of_address_earns_nothing_again(
    charlie: User, group: UserGroup, invitation: Invitation
) -> None:
    batch = make_batch(charlie)
    user = sign_up(group=group, invitation=invitation)
    codes.redeem_code(user=user, text=text_of(batch))
    give_allowances(now=MARCH)
    before = have(user)
    move(user, "dora@elsewhere.example")
    assert give_allowances(now=MARCH) == 0
    with pytest.raises(Conflict, match="redeemed this code already"):
        codes.redeem_code(user=user, text=text_of(batch))
    assert have(user) == before


def test_whoever_gets_a_mailbox_later_misses_only_what_it_was_given(
    charlie: User, group: UserGroup
) -> None:
    before, after = make_batch(charlie), make_batch(charlie)
    dora = sign_up(group=group)
    codes.redeem_code(user=dora, text=text_of(before))
    move(dora, "dora@elsewhere.example")
    codes.redeem_code(user=dora, text=text_of(after))
    give_allowances(now=MARCH)
    stranger = sign_up(group=group)
    assert have(stranger) == 0  # the mailbox had its welcome
    give_allowances(now=MARCH)
    codes.redeem_code(user=stranger, text=text_of(after))
    assert have(stranger) == 30 + 5
    with pytest.raises(Conflict, match="redeemed this code already"):
        codes.redeem_code(user=stranger, text=text_of(before))


def test_a_grant_to_a_mailbox_says_what_it_is_of(alice: User) -> None:
    kept = MailboxGrant.objects.get()
    assert str(kept) == f"welcome {kept.transaction_id}"


def test_nobody_reads_a_mailbox_in_what_is_kept(charlie: User) -> None:
    leave(sign_up())
    kept = " ".join(MailboxGrant.objects.values_list("mailbox", flat=True))
    assert "dora" not in kept
    assert digest_mailbox(DORA) in kept


def test_an_address_whose_mailbox_is_worked_out_anew_is_still_known(db: None) -> None:
    user = sign_up("d.ora@proton.me")
    # As it was written before the rules of this provider were known.
    tamper("DELETE FROM credits_mailboxgrant")
    key = f"welcome:{digest_mailbox('d.ora@proton.me')}"
    tamper("UPDATE credits_transaction SET idempotency_key = %s", key)
    leave(User.objects.get(pk=user.pk))
    assert have(sign_up("d.ora@proton.me")) == 0


# -- What was given before the table was there


def tamper(statement: str, *facts: str | int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("credits_mailboxgrant", "credits_transaction"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(statement, facts)
        for table in ("credits_mailboxgrant", "credits_transaction"):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def write_down_what_was_before() -> None:
    tamper("DELETE FROM credits_mailboxgrant")
    name = "migrations.credits.0009_mailbox_grants_of_before"
    with connection.schema_editor() as editor:
        importlib.import_module(name).write_down(apps, editor)


def test_what_was_given_before_is_known_of_those_who_are_there_and_of_most_who_are_gone(
    charlie: User, group: UserGroup, invitation: Invitation
) -> None:
    batch = make_batch(charlie)
    there = sign_up("anna@example.org", group=group, invitation=invitation)
    gone = sign_up(group=group, invitation=invitation)
    give_allowances(now=MARCH)
    for user in (there, gone):
        codes.redeem_code(user=user, text=text_of(batch))
    leave(gone)
    write_down_what_was_before()
    assert not list(find_violations(files=False))
    again = sign_up(group=group, invitation=invitation)
    move(there, "anna@elsewhere.example")
    assert give_allowances(now=MARCH) == 0
    assert have(again) == 0
    with pytest.raises(Conflict, match="redeemed this code already"):
        codes.redeem_code(user=again, text=text_of(batch))


def test_of_accounts_whose_mailbox_nobody_knows_any_more_it_is_said_so(charlie: User) -> None:
    gone = sign_up()
    ledger.post_grant(
        user=gone, amount_ucr=CREDIT, kind=Transaction.Kind.ALLOWANCE, key="of another time"
    )
    leave(gone)
    welcome = Transaction.objects.filter(kind="grant").latest("pk")
    tamper("UPDATE credits_transaction SET idempotency_key = 'signup:7' WHERE id = %s", welcome.pk)
    write_down_what_was_before()
    account = Account.objects.get(user=None, kind="user")
    kept = MailboxGrant.objects.filter(transaction__entries__account=account)
    assert {one.mailbox.partition(":")[0] for one in kept} == {"unknown"}
    assert {one.what for one in kept} == {"grant", "allowance"}
    assert not list(find_violations(files=False))
