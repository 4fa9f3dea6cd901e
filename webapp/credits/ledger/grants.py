"""Accounts, and the credits that the studio itself gives."""

from collections.abc import Sequence

from django.conf import settings
from django.db import transaction
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core.errors import Conflict
from webapp.core.units import to_ucr
from webapp.credits.ledger.posting import Line, lock_account, lock_accounts_of, post
from webapp.credits.models import Account, Transaction

GRANTED = {
    Transaction.Kind.GRANT,
    Transaction.Kind.CODE,
    Transaction.Kind.ALLOWANCE,
    Transaction.Kind.INVITATION,
}


@transaction.atomic
def open_account(*, user: User, welcome: bool = True) -> Account:
    """The user's account, opened where there was none; with `welcome` the welcome is granted at
    once, otherwise `grant_welcome` does it when the time has come."""
    account, _created = Account.objects.get_or_create(
        user=user, defaults={"kind": Account.Kind.USER}
    )
    if welcome:
        grant_welcome(user=user)
    return account


@transaction.atomic
def grant_welcome(*, user: User) -> bool:
    """Grants the starting credits, once per mailbox for ever, and what the user's invitation
    gives. True where this call posted either, False where there was nothing left to post.

    A deleted account's mailbox is known by its HMAC alone. The key of accounts older than that
    was `signup:<user>`. Raises NotFound where the account is closed.
    """
    lock_account(user=user)
    granted = not _has_old_welcome(user) and _grant(
        user=user,
        amount_ucr=to_ucr(settings.STARTING_CREDITS),
        kind=Transaction.Kind.GRANT,
        key=_welcome_key(user),
    )
    invitation = user.invitation
    invited = invitation is not None and _grant(
        user=user,
        amount_ucr=invitation.grant_ucr,
        kind=Transaction.Kind.INVITATION,
        key=f"invitation:{invitation.pk}:{user.pk}",
    )
    return granted or invited


@transaction.atomic
def post_grant(
    *,
    user: User,
    amount_ucr: int,
    kind: Transaction.Kind,
    key: str,
    reason: str = "",
    note: str = "",
) -> bool:
    """Credits given by the studio: True where this call posted them, False where the key was
    posted before. Raises NotFound where the account is closed, ValueError for an amount that is
    not positive or a kind that is no grant."""
    account = lock_account(user=user)
    line = _grant_line(account=account, amount_ucr=amount_ucr, kind=kind, key=key)
    return bool(post([line], reason=reason, note=note))


@transaction.atomic
def post_grants(
    *, kind: Transaction.Kind, lines: Sequence[tuple[int, int, str]], reason: str = ""
) -> int:
    """The same for many, as `(user id, amount in micro-credits, key)`, in two statements.

    Returns how many were posted now: keys that were posted before and users without an account
    are skipped. Raises ValueError as `post_grant`, and posts nothing then.
    """
    accounts = lock_accounts_of(user_id for user_id, _amount_ucr, _key in lines)
    granted = [
        _grant_line(account=accounts[user_id], amount_ucr=amount_ucr, kind=kind, key=key)
        for user_id, amount_ucr, key in lines
        if user_id in accounts
    ]
    return len(post(granted, reason=reason))


def close_account(*, user: User) -> None:
    """Cuts the account's link to the user, who is about to be deleted: only the pseudonym is
    left. Nothing happens where it is cut already. Raises Conflict while holds are open."""
    closed = Account.objects.filter(user=user, held_ucr=0).update(user=None)
    if not closed and Account.objects.filter(user=user).exists():
        raise Conflict(_("Pictures of this account are still developing. End them first."))


def _grant(*, user: User, amount_ucr: int, kind: Transaction.Kind, key: str) -> bool:
    return amount_ucr > 0 and post_grant(user=user, amount_ucr=amount_ucr, kind=kind, key=key)


def _grant_line(*, account: Account, amount_ucr: int, kind: Transaction.Kind, key: str) -> Line:
    if amount_ucr <= 0 or kind not in GRANTED:
        raise ValueError(f"{amount_ucr} micro-credits of kind {kind} is no grant")
    return Line(
        account_id=account.pk,
        amount_ucr=amount_ucr,
        kind=kind,
        against=Account.Kind.GRANTS,
        key=key,
    )


def _welcome_key(user: User) -> str:
    mailbox = user.mailbox or user.email.lower()
    digest = salted_hmac("credits.welcome", mailbox, algorithm="sha256").hexdigest()
    return f"welcome:{digest}"


def _has_old_welcome(user: User) -> bool:
    return Transaction.objects.filter(idempotency_key=f"signup:{user.pk}").exists()
