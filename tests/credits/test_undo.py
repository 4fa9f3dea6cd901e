"""Corrections are new entries: what can be undone, once, and what is told if it cannot."""

import uuid
from typing import Any

import pytest

from webapp.accounts.models import User
from webapp.core.errors import Conflict, InvalidInput, NotEnoughCredits, NotFound
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import ledger
from webapp.credits.ledger import BatchUndo
from webapp.credits.models import Account, Entry, Transaction
from webapp.credits.selectors import get_balance
from webapp.operations.audit import find_violations

CREDIT = UCR_PER_CREDIT
BATCH = uuid.UUID(int=1)


def posted(user: User) -> int:
    return get_balance(user=user).posted_ucr


def top_up(user: User, actor: User, credits: int = 5, key: str = "k1") -> Transaction:
    return ledger.top_up(
        user=user, amount_ucr=credits * CREDIT, actor=actor, reason="prize", key=key
    )


def spend(user: User, credits: int) -> uuid.UUID:
    image_id = uuid.uuid4()
    ledger.hold_for_images(user=user, amounts_ucr={image_id: credits * CREDIT})
    ledger.capture(image_id=image_id)
    return image_id


def test_an_undone_top_up_is_a_new_line_that_names_the_old_one(alice: User, charlie: User) -> None:
    given = top_up(alice, charlie)
    undone = ledger.reverse(transaction_id=given.pk, actor=charlie, reason=" a mistake ")
    assert posted(alice) == 200 * CREDIT
    assert (undone.kind, undone.reverses, undone.reason) == ("reversal", given, "a mistake")
    assert undone.actor == charlie
    lines = undone.entries.order_by("pk").values_list("amount_ucr", "account__kind")
    assert list(lines) == [(-5 * CREDIT, "user"), (5 * CREDIT, "grants")]


def test_credits_that_were_taken_come_back(alice: User, charlie: User) -> None:
    taken = ledger.adjust(
        user=alice, amount_ucr=-50 * CREDIT, actor=charlie, reason="abuse", key="k1"
    )
    undone = ledger.reverse(transaction_id=taken.pk, actor=charlie, reason="sorry")
    assert posted(alice) == 200 * CREDIT
    assert undone.entries.filter(account__kind="adjustments", amount_ucr=-50 * CREDIT).exists()


@pytest.mark.parametrize("kind", ["code", "allowance", "invitation"])
def test_codes_allowances_and_invitations_can_be_undone(
    alice: User, charlie: User, kind: str
) -> None:
    ledger.post_grant(user=alice, amount_ucr=CREDIT, kind=Transaction.Kind(kind), key="k")
    given = Transaction.objects.get(idempotency_key="k")
    ledger.reverse(transaction_id=given.pk, actor=charlie, reason="a mistake")
    assert posted(alice) == 200 * CREDIT


def test_what_was_undone_stays_undone(alice: User, charlie: User) -> None:
    given = top_up(alice, charlie)
    ledger.reverse(transaction_id=given.pk, actor=charlie, reason="a mistake")
    with pytest.raises(Conflict, match="already been undone"):
        ledger.reverse(transaction_id=given.pk, actor=charlie, reason="a mistake")
    assert posted(alice) == 200 * CREDIT


def test_what_was_spent_meanwhile_cannot_be_taken_back(alice: User, charlie: User) -> None:
    given = top_up(alice, charlie)
    spend(alice, 203)
    with pytest.raises(NotEnoughCredits, match=r"needs 5.00 credits; 2.00 are available"):
        ledger.reverse(transaction_id=given.pk, actor=charlie, reason="a mistake")
    assert posted(alice) == 2 * CREDIT


def test_images_welcomes_and_undos_cannot_be_undone(alice: User, charlie: User) -> None:
    image_id = spend(alice, 1)
    ledger.refund_image(image_id=image_id, actor=charlie, reason="black picture")
    undone = ledger.reverse(
        transaction_id=top_up(alice, charlie).pk, actor=charlie, reason="a mistake"
    )
    for kind in ("grant", "capture", "refund"):
        line = Transaction.objects.filter(kind=kind).latest("pk")
        with pytest.raises(Conflict, match="cannot be undone"):
            ledger.reverse(transaction_id=line.pk, actor=charlie, reason="a mistake")
    with pytest.raises(Conflict, match="cannot be undone"):
        ledger.reverse(transaction_id=undone.pk, actor=charlie, reason="a mistake")


def test_a_booking_that_is_not_there_is_told(alice: User, charlie: User) -> None:
    with pytest.raises(NotFound, match="transaction doesn't exist"):
        ledger.reverse(transaction_id=0, actor=charlie, reason="a mistake")
    with pytest.raises(NotFound, match="no such batch"):
        ledger.reverse_batch(batch_id=BATCH, actor=charlie, reason="a mistake")


@pytest.mark.parametrize("reason", ["", " ", "x" * 201])
def test_every_correction_needs_a_short_reason(alice: User, charlie: User, reason: str) -> None:
    given, image_id = top_up(alice, charlie), spend(alice, 1)
    before = posted(alice)
    with pytest.raises(InvalidInput):
        ledger.reverse(transaction_id=given.pk, actor=charlie, reason=reason)
    with pytest.raises(InvalidInput):
        ledger.refund_image(image_id=image_id, actor=charlie, reason=reason)
    with pytest.raises(InvalidInput):
        ledger.reverse_batch(batch_id=BATCH, actor=charlie, reason=reason)
    assert posted(alice) == before


def test_a_batch_is_undone_where_it_can_be_and_tells_where_not(
    alice: User, bob: User, charlie: User
) -> None:
    lines = [(alice.pk, 5 * CREDIT), (bob.pk, 5 * CREDIT), (charlie.pk, -5 * CREDIT)]
    ledger.top_up_many(batch_id=BATCH, lines=lines, actor=charlie, reason="prize")
    spend(bob, 203)
    undo: dict[str, Any] = {"batch_id": BATCH, "actor": charlie, "reason": "the wrong list"}
    assert ledger.reverse_batch(**undo) == BatchUndo(2, [(bob.pk, 3 * CREDIT)])
    balances = [posted(user) // CREDIT for user in (alice, bob, charlie)]
    assert balances == [200, 2, 200]
    # Once bob has enough again, the rest is undone, and only that.
    top_up(bob, charlie, credits=3)
    assert ledger.reverse_batch(**undo) == BatchUndo(1, [])
    assert ledger.reverse_batch(**undo) == BatchUndo(0, [])
    assert posted(bob) == 0
    assert list(find_violations(files=False)) == []


def test_a_batch_leaves_out_what_was_undone_one_by_one(
    alice: User, bob: User, charlie: User
) -> None:
    lines = [(alice.pk, CREDIT), (bob.pk, CREDIT)]
    batch = ledger.top_up_many(batch_id=BATCH, lines=lines, actor=charlie, reason="prize")
    hers = batch.transactions.get(entries__account__user=alice)
    ledger.reverse(transaction_id=hers.pk, actor=charlie, reason="a mistake")
    undone = ledger.reverse_batch(batch_id=BATCH, actor=charlie, reason="a mistake")
    assert undone == BatchUndo(1, [])
    assert (posted(alice), posted(bob)) == (200 * CREDIT, 200 * CREDIT)


def test_a_batch_is_undone_on_closed_accounts_too(alice: User, bob: User, charlie: User) -> None:
    lines = [(alice.pk, CREDIT), (bob.pk, CREDIT)]
    ledger.top_up_many(batch_id=BATCH, lines=lines, actor=charlie, reason="prize")
    spend(bob, 201)
    for user in (alice, bob):
        ledger.close_account(user=user)
    undone = ledger.reverse_batch(batch_id=BATCH, actor=charlie, reason="a mistake")
    assert undone == BatchUndo(1, [(None, CREDIT)])


def test_a_refund_gives_back_what_the_image_cost_once(alice: User, charlie: User) -> None:
    image_id = spend(alice, 3)
    refund = ledger.refund_image(image_id=image_id, actor=charlie, reason="black picture")
    assert posted(alice) == 200 * CREDIT
    assert (refund.kind, refund.actor, refund.reason) == ("refund", charlie, "black picture")
    line = refund.entries.get(account__user=alice)
    assert (line.image_id, line.amount_ucr) == (image_id, 3 * CREDIT)
    with pytest.raises(Conflict, match="already been refunded"):
        ledger.refund_image(image_id=image_id, actor=charlie, reason="black picture")
    assert posted(alice) == 200 * CREDIT


def test_only_what_was_charged_is_refunded(alice: User, charlie: User) -> None:
    held, released = uuid.uuid4(), uuid.uuid4()
    ledger.hold_for_images(user=alice, amounts_ucr={held: CREDIT, released: CREDIT})
    ledger.release(image_id=released)
    for image_id in (held, released, uuid.uuid4()):
        with pytest.raises(Conflict, match="was not charged"):
            ledger.refund_image(image_id=image_id, actor=charlie, reason="black picture")


def test_a_missing_line_is_written_beside_the_balance(alice: User) -> None:
    account = Account.objects.get(user=alice)
    assert ledger.post_difference(account_id=account.pk) == 0
    Account.objects.filter(pk=account.pk).update(posted_ucr=203 * CREDIT)
    assert ledger.post_difference(account_id=account.pk) == 3 * CREDIT
    assert posted(alice) == 203 * CREDIT
    line = Entry.objects.get(account=account, kind="repair")
    assert (line.amount_ucr, line.balance_after_ucr) == (3 * CREDIT, 203 * CREDIT)


def test_what_is_held_is_counted_anew_where_it_can_be(alice: User) -> None:
    account = Account.objects.get(user=alice)
    ledger.hold_for_images(user=alice, amounts_ucr={uuid.uuid4(): 5 * CREDIT})
    assert ledger.recount_held(account_id=account.pk) is False
    Account.objects.filter(pk=account.pk).update(held_ucr=0)
    assert ledger.recount_held(account_id=account.pk) is True
    assert get_balance(user=alice).held_ucr == 5 * CREDIT
    Account.objects.filter(pk=account.pk).update(held_ucr=0, posted_ucr=CREDIT)
    assert ledger.recount_held(account_id=account.pk) is False
