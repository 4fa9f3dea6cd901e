"""The ledger: what images and one person's postings do to it, and what is refused."""

import uuid
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import override_settings

from tests.people import make_user
from webapp.accounts.models import User
from webapp.core.errors import Conflict, InvalidInput, NotEnoughCredits
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import ledger
from webapp.credits.models import Account, Entry, Hold, Transaction
from webapp.credits.selectors import get_balance

CREDIT = UCR_PER_CREDIT


def test_a_new_user_gets_the_starting_credits_exactly_once(alice: User) -> None:
    ledger.open_account(user=alice)
    ledger.open_account(user=alice)
    assert get_balance(user=alice).posted_ucr == 200 * CREDIT
    assert Transaction.objects.filter(kind="grant").count() == 1


@override_settings(STARTING_CREDITS=Decimal(0))
def test_a_studio_can_start_people_with_nothing(db: None) -> None:
    assert get_balance(user=make_user("dora")).posted_ucr == 0


def test_a_hold_sets_credits_aside_without_posting(alice: User) -> None:
    ledger.hold_for_images(user=alice, amounts_ucr={uuid.uuid4(): 200_000, uuid.uuid4(): 200_000})
    balance = get_balance(user=alice)
    assert (balance.posted_ucr, balance.held_ucr) == (200 * CREDIT, 400_000)


def test_a_free_image_needs_no_hold(alice: User) -> None:
    ledger.hold_for_images(user=alice, amounts_ucr={uuid.uuid4(): 0})
    assert not Hold.objects.exists()


def test_a_captured_image_costs_once_however_often_it_is_captured(alice: User) -> None:
    image_id = uuid.uuid4()
    ledger.hold_for_images(user=alice, amounts_ucr={image_id: 200_000})
    assert ledger.capture(image_id=image_id) is True
    assert ledger.capture(image_id=image_id) is False
    assert ledger.release(image_id=image_id) is False
    balance = get_balance(user=alice)
    assert (balance.posted_ucr, balance.held_ucr) == (200 * CREDIT - 200_000, 0)


def test_a_released_image_costs_nothing(alice: User) -> None:
    image_id = uuid.uuid4()
    ledger.hold_for_images(user=alice, amounts_ucr={image_id: 200_000})
    assert ledger.release(image_id=image_id) is True
    assert ledger.capture(image_id=image_id) is False
    assert get_balance(user=alice).available_ucr == 200 * CREDIT


def test_what_cannot_be_paid_in_full_is_not_held_at_all(alice: User) -> None:
    with pytest.raises(NotEnoughCredits) as refused:
        ledger.hold_for_images(
            user=alice, amounts_ucr={uuid.uuid4(): 150 * CREDIT, uuid.uuid4(): 51 * CREDIT}
        )
    assert refused.value.sentence == "This needs 201.00 credits; 200.00 are available."
    assert get_balance(user=alice).held_ucr == 0


def test_a_top_up_is_added_with_who_and_why(alice: User, charlie: User) -> None:
    posted = ledger.top_up(
        user=alice, amount_ucr=5 * CREDIT, actor=charlie, reason="prize", key="k1"
    )
    assert (posted.actor_name, posted.reason) == ("charlie@example.org", "prize")
    assert get_balance(user=alice).posted_ucr == 205 * CREDIT


def test_the_same_top_up_twice_is_posted_once(alice: User, charlie: User) -> None:
    for _click in range(2):
        ledger.top_up(user=alice, amount_ucr=CREDIT, actor=charlie, reason="prize", key="k1")
    assert get_balance(user=alice).posted_ucr == 201 * CREDIT


def test_the_same_key_for_another_amount_is_a_conflict(alice: User, charlie: User) -> None:
    ledger.top_up(user=alice, amount_ucr=CREDIT, actor=charlie, reason="prize", key="k1")
    with pytest.raises(Conflict):
        ledger.top_up(user=alice, amount_ucr=2 * CREDIT, actor=charlie, reason="prize", key="k1")


@pytest.mark.parametrize("amount", [0, -1, 10**13])
def test_an_absurd_top_up_is_refused_and_changes_nothing(
    alice: User, charlie: User, amount: int
) -> None:
    with pytest.raises(InvalidInput):
        ledger.top_up(user=alice, amount_ucr=amount, actor=charlie, reason="prize", key="k1")
    assert get_balance(user=alice).posted_ucr == 200 * CREDIT


def test_an_adjustment_of_nothing_is_refused(alice: User, charlie: User) -> None:
    with pytest.raises(InvalidInput, match="must not be 0"):
        ledger.adjust(user=alice, amount_ucr=0, actor=charlie, reason="abuse", key="k1")


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201])
def test_a_top_up_needs_a_short_reason(alice: User, charlie: User, reason: str) -> None:
    with pytest.raises(InvalidInput):
        ledger.top_up(user=alice, amount_ucr=CREDIT, actor=charlie, reason=reason, key="k1")


def test_an_adjustment_takes_no_more_than_is_available(alice: User, charlie: User) -> None:
    ledger.hold_for_images(user=alice, amounts_ucr={uuid.uuid4(): 50 * CREDIT})
    with pytest.raises(NotEnoughCredits):
        ledger.adjust(user=alice, amount_ucr=-151 * CREDIT, actor=charlie, reason="abuse", key="k1")
    ledger.adjust(user=alice, amount_ucr=-150 * CREDIT, actor=charlie, reason="abuse", key="k2")
    assert get_balance(user=alice).available_ucr == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE credits_entry SET amount_ucr = 1",
        "DELETE FROM credits_entry",
        "UPDATE credits_transaction SET reason = 'x'",
        "DELETE FROM credits_transaction",
    ],
)
def test_the_database_refuses_to_rewrite_the_books(alice: User, statement: str) -> None:
    with (
        pytest.raises(IntegrityError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_the_database_refuses_to_empty_the_books(alice: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # no trigger may be pending
        cursor.execute("SET LOCAL darkroom.ledger_flush = 'off'")
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            cursor.execute("TRUNCATE credits_entry")


@pytest.mark.django_db(transaction=True)
def test_the_database_refuses_a_transaction_that_does_not_sum_to_zero(alice: User) -> None:
    account = Account.objects.get(user=alice)

    @transaction.atomic
    def post_half() -> None:
        posted = Transaction.objects.create(kind="grant", idempotency_key="x")
        Entry.objects.create(transaction=posted, account=account, amount_ucr=5)

    with pytest.raises(IntegrityError, match="instead of 0"):
        post_half()
    with pytest.raises(IntegrityError, match="has 0 entries"):
        Transaction.objects.create(kind="grant", idempotency_key="y")


def test_the_database_refuses_to_resolve_a_hold_twice(alice: User) -> None:
    image_id = uuid.uuid4()
    ledger.hold_for_images(user=alice, amounts_ucr={image_id: 200_000})
    ledger.release(image_id=image_id)
    with pytest.raises(IntegrityError, match="exactly once"), transaction.atomic():
        Hold.objects.filter(image_id=image_id).update(state="captured")


def test_the_database_refuses_more_held_than_posted(alice: User) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Account.objects.filter(user=alice).update(held_ucr=200 * CREDIT + 1)
