"""What images cost: set aside when asked for, charged when stored, given back otherwise."""

import uuid
from collections.abc import Mapping

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from webapp.accounts.models import User
from webapp.credits.ledger.posting import Posting, closed, not_enough, post
from webapp.credits.models import Account, Hold, Transaction
from webapp.credits.selectors import Balance

HOLD_SQL = """
WITH payer AS (
    UPDATE credits_account SET held_ucr = held_ucr + %(needed)s
    WHERE user_id = %(user)s AND posted_ucr - held_ucr >= %(needed)s
    RETURNING id, posted_ucr, held_ucr
), held AS (
    INSERT INTO credits_hold (image_id, account_id, amount_ucr, state, created_at)
    SELECT asked.image_id, payer.id, asked.amount_ucr, 'held', now()
    FROM payer, unnest(%(images)s::uuid[], %(amounts)s::bigint[]) AS asked(image_id, amount_ucr)
)
SELECT posted_ucr, held_ucr FROM payer
"""


def hold_for_images(*, user: User, amounts_ucr: Mapping[uuid.UUID, int]) -> Balance:
    """Sets aside the amount of each image (`image_id -> micro-credits`, zero is free: no hold),
    and returns the balance after it.

    One statement, so that the account's row is locked no longer than it takes. Raises
    NotEnoughCredits, and holds nothing at all, if the account can't pay for every one;
    NotFound if it was closed.
    """
    priced = {image_id: amount for image_id, amount in amounts_ucr.items() if amount}
    needed_ucr = sum(priced.values())
    if not needed_ucr:
        account = _get_account(user)
        return Balance(posted_ucr=account.posted_ucr, held_ucr=account.held_ucr)
    with connection.cursor() as cursor:
        cursor.execute(
            HOLD_SQL,
            {
                "user": user.pk,
                "needed": needed_ucr,
                "images": list(priced),
                "amounts": list(priced.values()),
            },
        )
        row = cursor.fetchone()
    if row is None:
        available_ucr = _get_account(user).available_ucr
        raise not_enough(available_ucr=available_ucr, needed_ucr=needed_ucr)
    return Balance(posted_ucr=row[0], held_ucr=row[1])


@transaction.atomic
def capture(*, image_id: uuid.UUID) -> bool:
    """Charges the image's hold. True if this call charged it; False if it was free,
    or somebody charged or released it before."""
    hold = _resolve(image_id=image_id, state=Hold.State.CAPTURED)
    if hold is None:
        return False
    post(
        [
            Posting(
                account_id=hold.account_id,
                amount_ucr=-hold.amount_ucr,
                kind=Transaction.Kind.CAPTURE,
                against=Account.Kind.REVENUE,
                key=f"capture:{hold.pk}",
                image_id=image_id,
            )
        ]
    )
    return True


@transaction.atomic
def release(*, image_id: uuid.UUID) -> bool:
    """Gives the image's hold back. True if this call released it, False if there was
    none or it was resolved before."""
    return _resolve(image_id=image_id, state=Hold.State.RELEASED) is not None


def _resolve(*, image_id: uuid.UUID, state: Hold.State) -> Hold | None:
    """The hold that this call moved out of `held`, no longer set aside on its account, which is
    locked now; None if there was none to move."""
    moved = Hold.objects.filter(image_id=image_id, state=Hold.State.HELD).update(
        state=state, resolved_at=timezone.now()
    )
    if not moved:
        return None
    hold = Hold.objects.get(image_id=image_id)
    Account.objects.filter(pk=hold.account_id).update(held_ucr=F("held_ucr") - hold.amount_ucr)
    return hold


def _get_account(user: User) -> Account:
    account = Account.objects.filter(user=user).first()
    if account is None:
        raise closed()
    return account
