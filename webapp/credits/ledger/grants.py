"""Accounts, and the credits that the studio itself gives."""

from collections.abc import Mapping, Sequence

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy

from webapp.accounts.models import User
from webapp.core.errors import Conflict
from webapp.core.units import to_ucr
from webapp.credits.ledger.mailbox_grants import (
    Digests,
    digests_of,
    find_given,
    read_mailboxes,
    write_down,
)
from webapp.credits.ledger.posting import Posting, lock_account, lock_accounts_of, post
from webapp.credits.models import Account, Transaction

UNFINISHED = gettext_lazy("Images of this account are still being generated. Cancel them first.")
WELCOME = "welcome"
GRANTED = {
    Transaction.Kind.GRANT,
    Transaction.Kind.CODE,
    Transaction.Kind.ALLOWANCE,
    Transaction.Kind.INVITATION,
}


@transaction.atomic
def open_account(*, user: User, welcome: bool = True) -> Account:
    """The user's account, opened if there was none; with `welcome` the welcome is granted at
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
    gives, once per mailbox and invitation. True if this call posted either, False if there was
    nothing left to post.

    Raises NotFound if the account is closed.
    """
    account = lock_account(user=user)
    granted = has_welcome_left(user=user) and post_grant(
        user=user,
        amount_ucr=to_ucr(settings.STARTING_CREDITS),
        kind=Transaction.Kind.GRANT,
        key=f"welcome:{digests_of(user)[0]}",
        what=WELCOME,
    )
    if account.welcome_held:
        Account.objects.filter(pk=account.pk).update(welcome_held="")
    return _grant_invitation(user) or granted


def has_welcome_left(*, user: User) -> bool:
    """True if the studio gives starting credits, and the user's mailbox had none yet."""
    digests = digests_of(user)
    # Keys as earlier versions wrote them: by user, then by the mailbox as it was worked out then.
    keys = [f"signup:{user.pk}", *(f"welcome:{digest}" for digest in digests)]
    return bool(
        settings.STARTING_CREDITS
        and not Transaction.objects.filter(idempotency_key__in=keys).exists()
        and not find_given(digests={user.pk: digests}, wanted=[(user.pk, WELCOME)])
    )


def hold_welcome_back(*, user: User, why: Account.WelcomeHeld) -> None:
    """Leaves the starting credits to an administrator: the account says why it has none."""
    Account.objects.filter(user=user).update(welcome_held=why)


@transaction.atomic
def post_grant(
    *,
    user: User,
    amount_ucr: int,
    kind: Transaction.Kind,
    key: str,
    what: str = "",
    reason: str = "",
    note: str = "",
) -> bool:
    """Credits given by the studio: True if this call posted them, False if the key was posted
    before, or `what` was given to the user's mailbox before, under whatever account; without it
    the key alone counts.

    Raises NotFound if the account is closed, ValueError for an amount that is not positive or a
    kind that is no grant.
    """
    accounts = {user.pk: lock_account(user=user)}
    lines = [(user.pk, amount_ucr, key)]
    digests = {user.pk: digests_of(user)}
    return bool(
        _post_once(accounts, digests, lines, kind=kind, what=what, reason=reason, note=note)
    )


@transaction.atomic
def post_grants(
    *,
    kind: Transaction.Kind,
    lines: Sequence[tuple[int, int, str]],
    what: str = "",
    reason: str = "",
) -> int:
    """The same for many, as `(user id, amount in micro-credits, key)`, in a few statements; with
    `what` one line for each of them.

    Returns how many were posted now: what was given before and users without an account are
    skipped. Raises ValueError as `post_grant`, and posts nothing then.
    """
    accounts = lock_accounts_of(user_id for user_id, _amount_ucr, _key in lines)
    digests = read_mailboxes(accounts)
    return _post_once(accounts, digests, lines, kind=kind, what=what, reason=reason)


def close_account(*, user: User) -> None:
    """Cuts the account's link to the user, who is about to be deleted: only the pseudonym is
    left. Nothing happens if it is cut already. Raises Conflict while holds are open."""
    closed = Account.objects.filter(user=user, held_ucr=0).update(user=None)
    if not closed and Account.objects.filter(user=user).exists():
        raise Conflict(UNFINISHED)


def _grant_invitation(user: User) -> bool:
    invitation = user.invitation
    if invitation is None or not invitation.grant_ucr:
        return False
    return post_grant(
        user=user,
        amount_ucr=invitation.grant_ucr,
        kind=Transaction.Kind.INVITATION,
        key=f"invitation:{invitation.pk}:{user.pk}",
        what=f"invitation:{invitation.pk}",
    )


def _post_once(
    accounts: Mapping[int, Account],
    digests: Digests,
    lines: Sequence[tuple[int, int, str]],
    *,
    kind: Transaction.Kind,
    what: str,
    reason: str = "",
    note: str = "",
) -> int:
    """Posts what no key and no mailbox had before, and writes it down for the mailboxes. Returns
    how many lines; the accounts are locked."""
    asked = {
        key: (user_id, _grant_posting(accounts[user_id], amount_ucr, kind=kind, key=key))
        for user_id, amount_ucr, key in lines
        if user_id in accounts
    }
    wanted = {key: (user_id, what or key) for key, (user_id, _posting) in asked.items()}
    given = find_given(digests=digests, wanted=set(wanted.values()))
    fresh = [posting for key, (_user_id, posting) in asked.items() if wanted[key] not in given]
    posted = post(fresh, reason=reason, note=note)
    write_down(
        (digests[wanted[key][0]][0], wanted[key][1], transaction_id)
        for key, transaction_id in posted.items()
    )
    return len(posted)


def _grant_posting(
    account: Account, amount_ucr: int, *, kind: Transaction.Kind, key: str
) -> Posting:
    if amount_ucr <= 0 or kind not in GRANTED:
        raise ValueError(f"{amount_ucr} micro-credits of kind {kind} is no grant")
    return Posting(
        account_id=account.pk,
        amount_ucr=amount_ucr,
        kind=kind,
        against=Account.Kind.GRANTS,
        key=key,
    )
