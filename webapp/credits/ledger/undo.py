"""Corrections: what was given is taken back, what was charged is given back, by new entries."""

import uuid
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core.errors import Conflict, NotFound
from webapp.credits.ledger.by_hand import check_words
from webapp.credits.ledger.posting import Posting, not_enough, post
from webapp.credits.models import Account, Entry, Hold, TopUpBatch, Transaction

UNDOABLE = {
    Transaction.Kind.TOP_UP,
    Transaction.Kind.ADJUSTMENT,
    Transaction.Kind.CODE,
    Transaction.Kind.ALLOWANCE,
    Transaction.Kind.INVITATION,
}


@dataclass(frozen=True, slots=True)
class BatchUndo:
    """How many lines of a batch were undone, and which could not be: `(user id, micro-credits
    that are missing)`. The user's id is None if the account was closed meanwhile."""

    undone: int
    kept: list[tuple[int | None, int]]


@transaction.atomic
def reverse(*, transaction_id: int, actor: User, reason: str) -> Transaction:
    """Undoes a top-up, adjustment, code, allowance or invitation, once, as a new transaction.

    Raises NotFound; Conflict if it was undone before or is of another kind (an image is
    refunded instead); NotEnoughCredits if the credits were spent meanwhile; InvalidInput for
    a reason that is empty or too long.
    """
    check_words(reason=reason)
    undone = Transaction.objects.filter(pk=transaction_id).first()
    if undone is None:
        raise NotFound(_("This transaction doesn't exist."))
    if undone.kind not in UNDOABLE:
        raise Conflict(_("This transaction cannot be undone."))
    (posting,) = _opposites(transaction_id=transaction_id)
    account = Account.objects.select_for_update().get(pk=posting.account_id)
    if Transaction.objects.filter(reverses=undone).exists():
        raise Conflict(_("This transaction has already been undone."))
    if account.available_ucr + posting.amount_ucr < 0:
        raise not_enough(available_ucr=account.available_ucr, needed_ucr=-posting.amount_ucr)
    posted = post([posting], actor=actor, reason=reason.strip())
    return Transaction.objects.get(pk=posted[posting.key])


@transaction.atomic
def reverse_batch(*, batch_id: uuid.UUID, actor: User, reason: str) -> BatchUndo:
    """Undoes what can be of a batch; lines that were undone before count as neither.

    Raises NotFound, and InvalidInput for a reason that is empty or too long.
    """
    check_words(reason=reason)
    # One undo of a batch after the other: the second finds what the first one left.
    if not TopUpBatch.objects.select_for_update().filter(pk=batch_id).exists():
        raise NotFound(_("There is no such batch."))
    in_batch = Account.objects.filter(entries__transaction__batch=batch_id, kind="user")
    locked = Account.objects.select_for_update().filter(pk__in=in_batch.values("pk"))
    accounts = {account.pk: account for account in locked.order_by("pk")}
    undone: list[Posting] = []
    kept: list[tuple[int | None, int]] = []
    for posting in _opposites(transaction__batch=batch_id, transaction__reversed_by=None):
        account = accounts[posting.account_id]
        left_ucr = account.available_ucr + posting.amount_ucr
        if left_ucr < 0:
            kept.append((account.user_id, -left_ucr))
        else:
            undone.append(posting)
    post(undone, actor=actor, reason=reason.strip())
    return BatchUndo(undone=len(undone), kept=kept)


@transaction.atomic
def refund_image(
    *, image_id: uuid.UUID, actor: User | None, reason: str, by: str = ""
) -> Transaction:
    """Gives back what an image cost, once. Without an actor `by` says what does so.

    Raises Conflict if it was not charged or was refunded before, InvalidInput for a reason
    that is empty or too long.
    """
    check_words(reason=reason)
    hold = Hold.objects.filter(image_id=image_id, state=Hold.State.CAPTURED).first()
    if hold is None:
        raise Conflict(_("This image was not charged."))
    Account.objects.select_for_update().get(pk=hold.account_id)
    posting = Posting(
        account_id=hold.account_id,
        amount_ucr=hold.amount_ucr,
        kind=Transaction.Kind.REFUND,
        against=Account.Kind.REVENUE,
        key=f"refund:{image_id}",
        image_id=image_id,
    )
    posted = post([posting], actor=actor, by=by, reason=reason.strip())
    if not posted:
        raise Conflict(_("This image has already been refunded."))
    return Transaction.objects.get(pk=posted[posting.key])


def _opposites(**which: object) -> list[Posting]:
    """The postings that undo the transactions, each against the account that it came from."""
    entries = Entry.objects.filter(account__kind=Account.Kind.USER, **which)
    sources = Entry.objects.filter(transaction__in=entries.values("transaction_id"))
    against = dict(
        sources.exclude(account__kind=Account.Kind.USER).values_list(
            "transaction_id", "account__kind"
        )
    )
    return [
        Posting(
            account_id=entry.account_id,
            amount_ucr=-entry.amount_ucr,
            kind=Transaction.Kind.REVERSAL,
            against=Account.Kind(against[entry.transaction_id]),
            key=f"reverse:{entry.transaction_id}",
            reverses_id=entry.transaction_id,
        )
        for entry in entries.order_by("pk")
    ]
