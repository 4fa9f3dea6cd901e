"""What cannot wait until somebody opens the admin site: urgent notices go out by mail to every
superuser, and to the webhook of `DARKROOM_ALERT_WEBHOOK`.

A notice is marked first, for each way by itself, and told after the commit: two runs at once tell
nobody twice. If a way reaches nobody its marks are taken back, and the next run tries again.
"""

import json
import logging
import smtplib
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

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
from webapp.core.connections import let_go_of_database
from webapp.core.links import public_link
from webapp.core.models import Notice
from webapp.operations import studio_watch
from webapp.operations.audit import NOTICE as BOOKS

logger = logging.getLogger(__name__)

AT_ONCE = 20
WEBHOOK_S = 5.0
# Codes, and the beginnings of codes that name a host or a node.
URGENT = (
    BOOKS,
    studio_watch.NO_WORKER,
    studio_watch.BACKUP_OLD,
    "disk_low:",
    "storage:",
    "start_images:",
    "no_engine:",
    "device_lost:",
    "engine_failed:",
    "engine_hangs:",
)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to tell administrators: the column that marks what was told by it, and what tells;
    False if that reached nobody."""

    mark: str
    tell: Callable[[Sequence[Notice]], bool]


def tell_urgent_notices() -> int:
    """Tells the urgent notices of which nobody was told yet, by every way that is set up. Returns
    how many tellings that were."""
    return sum(_tell(way) for way in _ways())


def _ways() -> list[Way]:
    ways = [Way("mailed_at", _mail)] if settings.EMAIL_HOST else []
    return [*ways, Way("posted_at", _post)] if settings.ALERT_WEBHOOK else ways


def _tell(way: Way) -> int:
    notices = _mark_untold(way)
    is_told = False
    try:
        is_told = bool(notices) and way.tell(notices)
    finally:
        if not is_told:
            _mark(notices, way, at=None)
    return len(notices) if is_told else 0


def _mark_untold(way: Way) -> list[Notice]:
    urgent = Q()
    for code in URGENT:
        urgent |= Q(code__startswith=code)
    with transaction.atomic():
        untold = Notice.objects.select_for_update(skip_locked=True).filter(
            urgent, **{way.mark: None}
        )
        notices = list(untold.order_by("first_at", "pk")[:AT_ONCE])
        _mark(notices, way, at=timezone.now())
    return notices


def _mark(notices: Sequence[Notice], way: Way, *, at: object) -> None:
    Notice.objects.filter(pk__in=[one.pk for one in notices]).update(**{way.mark: at})


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
    context = {"notices": notices, "link": _admin_site()}
    with translation.override(language_of(user)):
        body = render_to_string("operations/mail/notices.txt", context)
        subject = _subject(len(notices))
    mail = EmailMessage(subject, f"{body.strip()}\n", to=[user.email], connection=connection)
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused as error:
        logger.error("%s was not told of %d notices: %s", user.pk, len(notices), error)
        return False
    return True


def _post(notices: Sequence[Notice]) -> bool:
    """True if the webhook took them: `text` is what chats show, `notices` is for programs."""
    with translation.override(settings.LANGUAGE_CODE):
        lines = [_subject(len(notices)), *(f"- {one.sentence}" for one in notices), _admin_site()]
    body = {
        "text": "\n".join(lines),
        "notices": [
            {"code": one.code, "sentence": one.sentence, "since": one.first_at.isoformat()}
            for one in notices
        ],
    }
    asked = urllib.request.Request(  # noqa: S310 - the settings take http and https alone
        settings.ALERT_WEBHOOK,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "Darkroom"},
    )
    let_go_of_database()
    try:
        _opener.open(asked, timeout=WEBHOOK_S).close()
    except (OSError, HTTPException) as error:
        # Not the address: whoever has it may write there.
        logger.error("the webhook did not take %d notices: %s", len(notices), error)
        return False
    return True


class _StayHere(urllib.request.HTTPRedirectHandler):
    """What is posted goes to the address that was set, and to no other."""

    def redirect_request(self, *_words: Any, **_options: Any) -> None:
        """None: then it is answered as the error that it is here."""


_opener = urllib.request.build_opener(_StayHere)


def _subject(count: int) -> str:
    subject = ngettext(
        "Darkroom: %(count)d problem needs you", "Darkroom: %(count)d problems need you", count
    )
    return subject % {"count": count}


def _admin_site() -> str:
    return public_link(reverse("admin:index"))
