"""The mail that little is left: once each time a balance falls below `DARKROOM_LOW_BALANCE`.

Told are people who can sign in, with a verified address, who have paid for an image before. An
account is marked first and told after the commit: two runs at once tell nobody twice. Whatever
stops a run, the marks of those who were not told are taken back, and the next run tries again; an
address that the server refuses is logged and stays marked.
"""

import logging
import smtplib

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import Exists, F, OuterRef

from webapp.accounts.languages import language_of
from webapp.core.units import to_ucr
from webapp.credits import mails
from webapp.credits.ledger import low
from webapp.credits.models import Account, Hold

logger = logging.getLogger(__name__)

# One run's worth; who is left over is told a minute later.
MAILS_AT_ONCE = 200


def tell_low_balances() -> int:
    """Mails those whose balance has fallen below the threshold since they last had more. Returns
    how many mails went out: none without a mail server, or if the threshold is 0."""
    threshold_ucr = to_ucr(settings.LOW_BALANCE)
    if not threshold_ucr or not mails.is_configured():
        return 0
    low.clear_low(threshold_ucr=threshold_ucr)
    ids = _list_low(threshold_ucr)
    return _tell(low.mark_low(account_ids=ids, threshold_ucr=threshold_ucr)) if ids else 0


def _list_low(threshold_ucr: int) -> list[int]:
    verified = EmailAddress.objects.filter(
        user=OuterRef("user"), email__iexact=OuterRef("user__email"), verified=True
    )
    paid = Hold.objects.filter(account=OuterRef("pk"), state=Hold.State.CAPTURED)
    accounts = Account.objects.filter(
        Exists(verified), Exists(paid), user__is_active=True, low_told_at=None
    )
    below = accounts.filter(posted_ucr__lt=F("held_ucr") + threshold_ucr)
    return list(below.order_by("pk").values_list("pk", flat=True)[:MAILS_AT_ONCE])


def _tell(marked: list[int]) -> int:
    """Mails one after the other over one connection, until the server no longer answers."""
    untold = list(Account.objects.filter(pk__in=marked).select_related("user").order_by("-pk"))
    told = 0
    try:
        with mails.open_connection() as connection:
            while untold:
                told += _tell_one(untold[-1], connection)
                untold.pop()
    except mails.MAIL_ERRORS as error:
        # Also if only the farewell failed: then nobody is left untold, and nothing is undone.
        logger.error("%d mails about low balances are put off: %s", len(untold), error)
    finally:
        low.unmark_low(account_ids=[account.pk for account in untold])
    return told


def _tell_one(account: Account, connection: BaseEmailBackend) -> bool:
    """False if the person is gone, or the server refuses the address for good."""
    if account.user is None:
        return False
    try:
        mails.send_low_balance(
            address=account.user.email,
            available_ucr=account.available_ucr,
            language=language_of(account.user),
            connection=connection,
        )
    except smtplib.SMTPRecipientsRefused as error:
        logger.error("nobody was told of the low balance of %s: %s", account.pseudonym, error)
        return False
    return True
