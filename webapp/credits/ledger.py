"""The only writer of the credit tables: grant, hold, capture, release, top up, adjust.

Every function must run where the caller wants one atomic change: each opens a transaction (or
a savepoint inside the caller's). Locks are taken in one order everywhere: image (the caller's),
hold, account, entry. Spending is a conditional UPDATE whose row count is tested, so that two
spenders of the last credit cannot both win.
"""

import uuid
from collections.abc import Mapping

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core.errors import Conflict, InvalidInput, NotEnoughCredits
from webapp.core.units import format_credits, to_ucr
from webapp.credits.models import Account, Entry, Hold, Transaction
from webapp.credits.selectors import Balance, get_balance

MAX_BY_HAND_UCR = 1_000_000 * 1_000_000
MAX_REASON_LENGTH = 200

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


def system_account(kind: Account.Kind) -> Account:
    """The system's account of that kind; made by the first migration."""
    return Account.objects.get(kind=kind)


@transaction.atomic
def open_account(*, user: User) -> Account:
    """The user's account, opened with the welcome grant exactly once (`signup:<user>`)."""
    account, created = Account.objects.get_or_create(
        user=user, defaults={"kind": Account.Kind.USER}
    )
    welcome_ucr = to_ucr(settings.STARTING_CREDITS)
    if created and welcome_ucr:
        _post(
            account=account,
            against=Account.Kind.GRANTS,
            amount_ucr=welcome_ucr,
            kind=Transaction.Kind.GRANT,
            key=f"signup:{user.pk}",
            reason="",
        )
    return account


def hold_for_images(*, user: User, amounts_ucr: Mapping[uuid.UUID, int]) -> Balance:
    """Sets aside the amount of each image (`image_id -> micro-credits`, zero is free: no hold),
    and returns the balance after it.

    One statement, so that the account's row is locked no longer than it takes. Raises
    NotEnoughCredits, and holds nothing at all, where the account can't pay for every one.
    """
    priced = {image_id: amount for image_id, amount in amounts_ucr.items() if amount}
    needed_ucr = sum(priced.values())
    if not needed_ucr:
        return get_balance(user=user)
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
        raise _not_enough(user=user, needed_ucr=needed_ucr)
    return Balance(posted_ucr=row[0], held_ucr=row[1])


@transaction.atomic
def capture(*, image_id: uuid.UUID) -> bool:
    """Charges the image's hold. True where this call charged it; False where it was free,
    or somebody charged or released it before."""
    hold = _resolve(image_id=image_id, state=Hold.State.CAPTURED)
    if hold is None:
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE credits_account SET posted_ucr = posted_ucr - %s, held_ucr = held_ucr - %s"
            " WHERE id = %s RETURNING posted_ucr",
            [hold.amount_ucr, hold.amount_ucr, hold.account_id],
        )
        (balance_ucr,) = cursor.fetchone()
    entry = Transaction.objects.create(
        kind=Transaction.Kind.CAPTURE, idempotency_key=f"capture:{hold.pk}"
    )
    _write_pair(
        posted=entry,
        account_id=hold.account_id,
        against=Account.Kind.REVENUE,
        amount_ucr=-hold.amount_ucr,
        balance_ucr=balance_ucr,
        image_id=image_id,
    )
    return True


@transaction.atomic
def release(*, image_id: uuid.UUID) -> bool:
    """Gives the image's hold back. True where this call released it, False where there was
    none or it was resolved before."""
    hold = _resolve(image_id=image_id, state=Hold.State.RELEASED)
    if hold is None:
        return False
    Account.objects.filter(pk=hold.account_id).update(held_ucr=F("held_ucr") - hold.amount_ucr)
    return True


def top_up(*, user: User, amount_ucr: int, actor: User, reason: str, key: str) -> Transaction:
    """Adds credits by an admin's hand; the same key twice posts once.

    Raises InvalidInput for an amount that is not positive or absurd, or an empty reason;
    Conflict where the key was used for another amount or person.
    """
    if amount_ucr <= 0:
        raise InvalidInput(_("Say how many credits to add: more than 0."), field="amount")
    return _by_hand(
        user=user,
        amount_ucr=amount_ucr,
        actor=actor,
        reason=reason,
        key=f"topup:{key}",
        kind=Transaction.Kind.TOP_UP,
        against=Account.Kind.GRANTS,
    )


def adjust(*, user: User, amount_ucr: int, actor: User, reason: str, key: str) -> Transaction:
    """Corrects a balance up or down by an admin's hand; the same key twice posts once.

    Raises as `top_up`, and NotEnoughCredits where less is available than is taken.
    """
    if amount_ucr == 0:
        raise InvalidInput(_("An adjustment of 0 changes nothing."), field="amount")
    return _by_hand(
        user=user,
        amount_ucr=amount_ucr,
        actor=actor,
        reason=reason,
        key=f"adjust:{key}",
        kind=Transaction.Kind.ADJUSTMENT,
        against=Account.Kind.ADJUSTMENTS,
    )


def _by_hand(
    *,
    user: User,
    amount_ucr: int,
    actor: User,
    reason: str,
    key: str,
    kind: Transaction.Kind,
    against: Account.Kind,
) -> Transaction:
    _check_by_hand(amount_ucr=amount_ucr, reason=reason)
    with transaction.atomic():
        account = Account.objects.select_for_update().get(user=user)
        earlier = Transaction.objects.filter(idempotency_key=key).first()
        if earlier is not None:
            return _same_or_conflict(earlier, account=account, amount_ucr=amount_ucr)
        if account.available_ucr + amount_ucr < 0:
            raise _not_enough(user=user, needed_ucr=-amount_ucr)
        return _post(
            account=account,
            against=against,
            amount_ucr=amount_ucr,
            kind=kind,
            key=key,
            reason=reason.strip(),
            actor=actor,
        )


def _check_by_hand(*, amount_ucr: int, reason: str) -> None:
    if abs(amount_ucr) > MAX_BY_HAND_UCR:
        most = format_credits(MAX_BY_HAND_UCR)
        raise InvalidInput(
            _("At most %(most)s credits can be moved at once.") % {"most": most}, field="amount"
        )
    if not reason.strip():
        raise InvalidInput(_("Write a reason: the user will see it."), field="reason")
    if len(reason.strip()) > MAX_REASON_LENGTH:
        raise InvalidInput(
            _("The reason may have at most %(most)d characters.") % {"most": MAX_REASON_LENGTH},
            field="reason",
        )


def _same_or_conflict(earlier: Transaction, *, account: Account, amount_ucr: int) -> Transaction:
    if earlier.entries.filter(account=account, amount_ucr=amount_ucr).exists():
        return earlier
    raise Conflict(_("This form was already used for another booking. Open it again."))


def _post(
    *,
    account: Account,
    against: Account.Kind,
    amount_ucr: int,
    kind: Transaction.Kind,
    key: str,
    reason: str,
    actor: User | None = None,
) -> Transaction:
    """Adds `amount_ucr` to the account and takes it from the system's account `against`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE credits_account SET posted_ucr = posted_ucr + %s WHERE id = %s"
            " RETURNING posted_ucr",
            [amount_ucr, account.pk],
        )
        (balance_ucr,) = cursor.fetchone()
    posted = Transaction.objects.create(
        kind=kind,
        actor=actor,
        actor_name=actor.email if actor else "",
        reason=reason,
        idempotency_key=key,
    )
    _write_pair(
        posted=posted,
        account_id=account.pk,
        against=against,
        amount_ucr=amount_ucr,
        balance_ucr=balance_ucr,
    )
    return posted


def _write_pair(
    *,
    posted: Transaction,
    account_id: int,
    against: Account.Kind,
    amount_ucr: int,
    balance_ucr: int,
    image_id: uuid.UUID | None = None,
) -> None:
    """The two lines of a transaction, which sum to zero."""
    Entry.objects.bulk_create(
        [
            Entry(
                transaction=posted,
                account_id=account_id,
                amount_ucr=amount_ucr,
                balance_after_ucr=balance_ucr,
                image_id=image_id,
            ),
            Entry(
                transaction=posted,
                account=system_account(against),
                amount_ucr=-amount_ucr,
                image_id=image_id,
            ),
        ]
    )


def _resolve(*, image_id: uuid.UUID, state: Hold.State) -> Hold | None:
    """The hold that this call moved out of `held`; None where there was none to move."""
    moved = Hold.objects.filter(image_id=image_id, state=Hold.State.HELD).update(
        state=state, resolved_at=timezone.now()
    )
    return Hold.objects.get(image_id=image_id) if moved else None


def _not_enough(*, user: User, needed_ucr: int) -> NotEnoughCredits:
    available_ucr = Account.objects.get(user=user).available_ucr
    sentence = _("This needs %(needed)s credits; %(available)s are available.") % {
        "needed": format_credits(needed_ucr),
        "available": format_credits(available_ucr),
    }
    return NotEnoughCredits(sentence, needed_ucr=needed_ucr, available_ucr=available_ucr)
