"""One person's balance, moved by an administrator's hand."""

from django.db import transaction
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core.errors import Conflict, InvalidInput
from webapp.core.idempotency import OTHER_CONTENT
from webapp.core.texts import check_length
from webapp.core.units import format_credits
from webapp.credits.ledger.posting import Posting, lock_account, not_enough, post
from webapp.credits.models import Account, Transaction

MAX_BY_HAND_UCR = 1_000_000 * 1_000_000
MAX_REASON_LENGTH = 200
MAX_NOTE_LENGTH = 500


def top_up(
    *, user: User, amount_ucr: int, actor: User, reason: str, key: str, note: str = ""
) -> Transaction:
    """Adds credits by an admin's hand; the same key twice posts once and answers the same.

    Raises InvalidInput for an amount that is not positive or absurd, an empty or long reason or
    a long note; Conflict if the key was used for another amount or person; NotFound if the
    account is closed.
    """
    if amount_ucr <= 0:
        raise InvalidInput(_("Enter how many credits to add: more than 0."), field="amount")
    return _book(user, amount_ucr, f"topup:{key}", actor=actor, reason=reason, note=note)


def adjust(
    *, user: User, amount_ucr: int, actor: User, reason: str, key: str, note: str = ""
) -> Transaction:
    """Corrects a balance up or down by an admin's hand; the same key twice posts once.

    Raises as `top_up`, and NotEnoughCredits if less is available than is taken.
    """
    return _book(user, amount_ucr, f"adjust:{key}", actor=actor, reason=reason, note=note)


def check_words(*, reason: str, note: str = "") -> None:
    """Raises InvalidInput if the reason is empty or too long, or the note too long."""
    if not reason.strip():
        raise InvalidInput(_("Enter a reason. The user will see it."), field="reason")
    check_length(reason.strip(), "reason", most=MAX_REASON_LENGTH)
    check_length(note.strip(), "note", most=MAX_NOTE_LENGTH)


def tell_amount(amount_ucr: int) -> str:
    """What is wrong with an amount to add, or to take away; "" for one that can be moved."""
    if amount_ucr == 0:
        return _("The amount must not be 0.")
    if abs(amount_ucr) > MAX_BY_HAND_UCR:
        most = format_credits(MAX_BY_HAND_UCR)
        return _("At most %(most)s credits can be moved at once.") % {"most": most}
    return ""


@transaction.atomic
def _book(
    user: User, amount_ucr: int, key: str, *, actor: User, reason: str, note: str
) -> Transaction:
    if problem := tell_amount(amount_ucr):
        raise InvalidInput(problem, field="amount")
    check_words(reason=reason, note=note)
    account = lock_account(user=user)
    posting = _posting(account=account, amount_ucr=amount_ucr, key=key)
    if not Transaction.objects.filter(idempotency_key=key).exists():
        if account.available_ucr + amount_ucr < 0:
            raise not_enough(available_ucr=account.available_ucr, needed_ucr=-amount_ucr)
        post([posting], actor=actor, reason=reason.strip(), note=note.strip())
    # Found whether this call posted it or another one before, even one on another account that
    # took the key between the look and the post.
    posted = Transaction.objects.get(idempotency_key=key)
    if not posted.entries.filter(account=account, amount_ucr=amount_ucr).exists():
        raise Conflict(OTHER_CONTENT)
    return posted


def _posting(*, account: Account, amount_ucr: int, key: str) -> Posting:
    is_top_up = key.startswith("topup:")
    return Posting(
        account_id=account.pk,
        amount_ucr=amount_ucr,
        kind=Transaction.Kind.TOP_UP if is_top_up else Transaction.Kind.ADJUSTMENT,
        against=Account.Kind.GRANTS if is_top_up else Account.Kind.ADJUSTMENTS,
        key=key,
    )
