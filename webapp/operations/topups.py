"""Credits moved by an administrator's hand: posted by the ledger, and written to the audit log in
the same commit."""

import uuid
from dataclasses import dataclass

from django.db import transaction

from webapp.accounts.models import User
from webapp.core import audit
from webapp.core.units import format_credits
from webapp.credits import ledger
from webapp.credits.ledger.undo import BatchUndo
from webapp.credits.models import Account, Entry, TopUpBatch, Transaction


@dataclass(frozen=True, slots=True)
class Booked:
    """What was posted, and what the person could spend before and after it."""

    transaction: Transaction
    before_ucr: int
    after_ucr: int


@transaction.atomic
def book_credits(
    *, user: User, amount_ucr: int, actor: User, reason: str, key: str, note: str = ""
) -> Booked:
    """Adds credits to the user's account, or takes them away if the amount is negative.

    The same key twice posts once. Raises what `ledger.top_up` and `ledger.adjust` raise, and
    changes nothing then.
    """
    # Locked first, so that of two clicks the second finds what the first has posted.
    account = ledger.lock_account(user=user)
    book = ledger.adjust if amount_ucr < 0 else ledger.top_up
    newest = Transaction.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    posted = book(user=user, amount_ucr=amount_ucr, actor=actor, reason=reason, key=key, note=note)
    available_ucr = account.available_ucr
    if posted.pk <= newest:
        return Booked(posted, available_ucr - amount_ucr, available_ucr)
    _record(posted, actor=actor, action=f"credits.{posted.kind}", account=account)
    return Booked(posted, available_ucr, available_ucr + amount_ucr)


@transaction.atomic
def undo_transaction(*, transaction_id: int, actor: User, reason: str) -> Transaction:
    """Takes back what a transaction gave, as a new one; raises what `ledger.reverse` raises."""
    posted = ledger.reverse(transaction_id=transaction_id, actor=actor, reason=reason)
    _record(posted, actor=actor, action="credits.undo", account=_account_of(posted))
    return posted


@transaction.atomic
def refund_image(*, image_id: uuid.UUID, actor: User, reason: str) -> Transaction:
    """Gives back what an image cost; raises what `ledger.refund_image` raises."""
    posted = ledger.refund_image(image_id=image_id, actor=actor, reason=reason)
    _record(posted, actor=actor, action="credits.refund", account=_account_of(posted))
    return posted


@transaction.atomic
def undo_batch(*, batch_id: uuid.UUID, actor: User, reason: str) -> BatchUndo:
    """Takes back what can be taken of a batch; raises what `ledger.reverse_batch` raises."""
    undo = ledger.reverse_batch(batch_id=batch_id, actor=actor, reason=reason)
    batch = TopUpBatch.objects.get(pk=batch_id)
    if undo.undone:
        audit.record(
            actor=actor,
            action="credits.batch_undo",
            subject=batch,
            reason=reason.strip(),
            after={"undone": undo.undone, "kept": len(undo.kept)},
        )
    return undo


def _account_of(posted: Transaction) -> Account:
    entry = Entry.objects.select_related("account__user").get(
        transaction=posted, account__kind=Account.Kind.USER
    )
    return entry.account


def _record(posted: Transaction, *, actor: User, action: str, account: Account) -> None:
    line = Entry.objects.get(transaction=posted, account=account)
    after_ucr = line.balance_after_ucr or 0
    facts = {"transaction": posted.pk, "credits": format_credits(line.amount_ucr)}
    if line.image_id:
        facts["image"] = str(line.image_id)
    audit.record(
        actor=actor,
        action=action,
        subject=account.user or account,
        reason=posted.reason,
        before={"balance": format_credits(after_ucr - line.amount_ucr)},
        after={"balance": format_credits(after_ucr), **facts},
    )
