"""The mail that a notice stands which cannot wait until somebody opens the admin site.

A notice is marked first and told after the commit: two runs at once tell nobody twice. If the mail
goes out to nobody, the marks are taken back, and the next run tries again.
"""

import logging
import smtplib
from collections.abc import Sequence

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import ngettext

from webapp.accounts.languages import language_of
from webapp.accounts.models import User
from webapp.core.links import public_link
from webapp.core.models import Notice
from webapp.operations import studio_watch
from webapp.operations.audit import NOTICE as BOOKS

logger = logging.getLogger(__name__)

AT_ONCE = 20
# Codes, and the beginnings of codes that name a host or a node.
URGENT = (
    BOOKS,
    studio_watch.NO_WORKER,
    "disk_low:",
    "storage:",
    "no_engine:",
    "device_lost:",
    "engine_failed:",
    "engine_hangs:",
)


def mail_notices() -> int:
    """Mails the urgent notices that nobody was told of to every superuser, in one mail for each.
    Returns how many notices that were: 0 without a mail server."""
    if not settings.EMAIL_HOST:
        return 0
    notices = _mark_untold()
    if not notices:
        return 0
    is_told = False
    try:
        is_told = _mail(notices)
    finally:
        if not is_told:
            Notice.objects.filter(pk__in=[one.pk for one in notices]).update(mailed_at=None)
    return len(notices) if is_told else 0


def _mark_untold() -> list[Notice]:
    urgent = Q()
    for code in URGENT:
        urgent |= Q(code__startswith=code)
    with transaction.atomic():
        untold = Notice.objects.select_for_update(skip_locked=True).filter(urgent, mailed_at=None)
        notices = list(untold.order_by("first_at", "pk")[:AT_ONCE])
        Notice.objects.filter(pk__in=[one.pk for one in notices]).update(mailed_at=timezone.now())
    return notices


def _mail(notices: Sequence[Notice]) -> bool:
    """True if anybody was told; False if the server does not answer, or nobody is there to tell."""
    people = list(User.objects.filter(is_superuser=True, is_active=True).order_by("pk"))
    told = 0
    try:
        with get_connection() as connection:
            for user in people:
                told += _mail_to(user, notices, connection)
    except (smtplib.SMTPException, OSError) as error:
        logger.error("%d administrators are not told: %s", len(people) - told, error)
    return told > 0


def _mail_to(user: User, notices: Sequence[Notice], connection: BaseEmailBackend) -> bool:
    """False if the server refuses the address for good."""
    context = {"notices": notices, "link": public_link(reverse("admin:index"))}
    with translation.override(language_of(user)):
        count = len(notices)
        subject = ngettext(
            "Darkroom: %(count)d problem needs you", "Darkroom: %(count)d problems need you", count
        )
        body = render_to_string("operations/mail/notices.txt", context)
        mail = EmailMessage(
            subject % {"count": count}, f"{body.strip()}\n", to=[user.email], connection=connection
        )
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused as error:
        logger.error("%s was not told of %d notices: %s", user.pk, count, error)
        return False
    return True
