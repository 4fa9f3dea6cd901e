"""Who gets the starting credits by themselves, and whose wait for an administrator.

Accounts are free, mailboxes nearly so: what keeps credits from being farmed is how many accounts
of one network are welcomed in a day, and, if no mail proves a mailbox, of one address. Nobody
is refused an account. Who came by an invitation is an administrator's guest, and never waits.
"""

from datetime import date, timedelta

from django.conf import settings
from django.contrib import messages
from django.db import connection, transaction
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import override

from webapp.accounts.mailboxes import is_throwaway
from webapp.accounts.models import User
from webapp.core import audit
from webapp.core.addresses import address_block, network_of
from webapp.core.errors import Conflict
from webapp.core.notices import tell_admins
from webapp.credits import ledger
from webapp.credits.ledger.posting import lock_account
from webapp.credits.models import Account, NetworkWelcomes

DAYS_KEPT = 7
NOTICE = "welcome:held"

# A place of the day is taken by whoever changes a row; of two at once the second waits for the
# first and sees its count. The day is the database's, in the studio's time zone.
TAKE_PLACE_SQL = """
INSERT INTO credits_networkwelcomes AS known (day, network, welcomes)
SELECT (statement_timestamp() AT TIME ZONE %(zone)s)::date, %(network)s, 1 WHERE %(most)s > 0
ON CONFLICT (day, network) DO UPDATE SET welcomes = known.welcomes + 1
    WHERE known.welcomes < %(most)s
RETURNING known.welcomes
"""


class _NoPlaceLeftError(Exception):
    """Rolls back the place that was taken in the larger network."""


@transaction.atomic
def welcome_user(*, user: User, address: str) -> None:
    """Grants what a new user gets, who signed up or confirmed their mailbox from this address (""
    for no visitor's); or holds it back and tells the administrators. Raises NotFound if the account
    is closed."""
    lock_account(user=user)
    why = _why_held(user, address)
    if why is None:
        ledger.grant_welcome(user=user)
        return
    ledger.hold_welcome_back(user=user, why=why)
    with override(settings.LANGUAGE_CODE):  # the studio's, not the visitor's
        tell_admins(
            code=NOTICE,
            sentence=_("New users are waiting for their welcome credits. See the page Users."),
            detail=f"{why.label}: {user.email}",
        )


@transaction.atomic
def give_held_welcome(*, user: User, actor: User, reason: str) -> None:
    """Grants the starting credits that were held back. Raises Conflict if none wait, or if the
    mailbox had them under an earlier account."""
    account = lock_account(user=user)
    if not account.welcome_held:
        raise Conflict(_("No welcome credits are waiting for this user."))
    if not ledger.grant_welcome(user=user):
        raise Conflict(_("This mailbox has already received its welcome credits."))
    audit.record(
        actor=actor,
        action="user.welcome",
        subject=user,
        reason=reason,
        before={"welcome_held": account.welcome_held},
    )


def tell_held_welcome(request: HttpRequest, *, user: User) -> None:
    """Says to somebody who just came in why there are no credits yet, if they wait."""
    account = Account.objects.filter(user=user).exclude(welcome_held="").first()
    if account is not None:
        messages.warning(request, held_sentence(account))


def held_sentence(account: Account) -> str:
    """Why the starting credits wait, and whom to ask; "" if they don't."""
    if account.welcome_held == Account.WelcomeHeld.NETWORK:
        return _(
            "Your account is ready. Its first credits come from an administrator, because many "
            "accounts were created from your network today. Ask for them on the Credits page."
        )
    if account.welcome_held == Account.WelcomeHeld.THROWAWAY:
        return _(
            "Your account is ready. Its first credits come from an administrator, because your "
            "e-mail address belongs to a disposable address service. Ask for them on the "
            "Credits page."
        )
    return ""


def forget_networks(*, today: date) -> int:
    """Forgets how many came from where, a week later. Returns how many lines."""
    old = NetworkWelcomes.objects.filter(day__lt=today - timedelta(days=DAYS_KEPT))
    return old.delete()[0]


def _why_held(user: User, address: str) -> Account.WelcomeHeld | None:
    """None if the user is welcome at once, or has nothing to wait for."""
    if not address or user.invitation_id is not None or not ledger.has_welcome_left(user=user):
        return None
    if is_throwaway(user.email):
        return Account.WelcomeHeld.THROWAWAY
    return None if _take_places(address) else Account.WelcomeHeld.NETWORK


def _take_places(address: str) -> bool:
    """True if one more of this day's welcomes was left for the network, and for the address if no
    mail proves mailboxes; then they are taken."""
    wanted = [(f"network:{network_of(address)}", settings.WELCOMES_PER_NETWORK)]
    if not settings.EMAIL_HOST:
        wanted.append((f"address:{address_block(address)}", settings.WELCOMES_PER_ADDRESS))
    try:
        with transaction.atomic():
            for network, most in wanted:
                _take_place(network, most=most)
    except _NoPlaceLeftError:
        return False
    return True


def _take_place(network: str, *, most: int) -> None:
    digest = salted_hmac("credits.networks", network, algorithm="sha256").hexdigest()
    facts: dict[str, str | int] = {"zone": settings.TIME_ZONE, "network": digest, "most": most}
    with connection.cursor() as cursor:
        cursor.execute(TAKE_PLACE_SQL, facts)
        if cursor.fetchone() is None:
            raise _NoPlaceLeftError
