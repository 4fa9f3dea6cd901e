"""For `manage.py check_credits --repair` alone: entries that make good, and a fresh count."""

import uuid

from django.db import transaction
from django.db.models import Sum

from webapp.credits.ledger.posting import Posting, post
from webapp.credits.models import Account, Entry, Hold, Transaction


@transaction.atomic
def post_difference(*, account_id: int) -> int:
    """Writes the line that was missing between an account's balance and its entries; the balance,
    which its owner has seen and spent from, stays. Returns the line's amount in micro-credits, 0
    if nothing was missing."""
    account = Account.objects.select_for_update().get(pk=account_id)
    written = Entry.objects.filter(account=account).aggregate(sum=Sum("amount_ucr"))["sum"] or 0
    missing_ucr = account.posted_ucr - int(written)
    if missing_ucr:
        post(
            [
                Posting(
                    account_id=account_id,
                    amount_ucr=missing_ucr,
                    kind=Transaction.Kind.REPAIR,
                    against=Account.Kind.ADJUSTMENTS,
                    key=f"repair:{uuid.uuid4()}",
                )
            ],
            reason="check_credits --repair",
        )
    return missing_ucr


@transaction.atomic
def recount_held(*, account_id: int) -> bool:
    """Sets `held_ucr` to the sum of the account's open holds. True if that changed it; False
    if it was right, or more is held than the balance covers, which only a person can mend."""
    account = Account.objects.select_for_update().get(pk=account_id)
    holds = Hold.objects.filter(account=account, state=Hold.State.HELD)
    held_ucr = int(holds.aggregate(sum=Sum("amount_ucr"))["sum"] or 0)
    return bool(
        Account.objects.filter(pk=account_id, posted_ucr__gte=held_ucr)
        .exclude(held_ucr=held_ucr)
        .update(held_ucr=held_ucr)
    )
