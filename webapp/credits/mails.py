"""The mails about credits. They are sent by tasks, outside of any transaction."""

import smtplib
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from webapp.credits.models import CreditRequest

MAIL_ERRORS = (smtplib.SMTPException, OSError)


def is_configured() -> bool:
    """Whether there is a mail server; without one, mails would only lie in a folder."""
    return bool(settings.EMAIL_HOST)


def open_connection() -> BaseEmailBackend:
    """A connection for several mails. Raises one of MAIL_ERRORS if no server answers."""
    connection: BaseEmailBackend = get_connection()
    connection.open()
    return connection


def send_decision(asked: CreditRequest) -> None:
    """Tells the user what became of a request. Raises one of MAIL_ERRORS."""
    if asked.state == CreditRequest.State.APPROVED:
        subject = _("Your request for credits was approved")
    else:
        subject = _("Your request for credits was declined")
    context = {"asked": asked, "link": _link("credits")}
    _send(asked.user.email, subject, "credits/mail/decision.txt", context)


def send_low_balance(
    *, address: str, available_ucr: int, connection: BaseEmailBackend | None = None
) -> None:
    """Tells somebody that little is left, and where to ask for more. Raises one of MAIL_ERRORS."""
    context = {"available_ucr": available_ucr, "link": _link("ask_for_credits")}
    subject = _("Your credits are running low")
    _send(address, subject, "credits/mail/low_balance.txt", context, connection)


def _send(
    address: str,
    subject: str,
    template: str,
    context: dict[str, Any],
    connection: BaseEmailBackend | None = None,
) -> None:
    body = render_to_string(template, context).strip()
    EmailMessage(subject, f"{body}\n", to=[address], connection=connection).send()


def _link(name: str) -> str:
    """The page's whole address; "" if the studio was not told its own."""
    return f"{settings.PUBLIC_URL}{reverse(name)}" if settings.PUBLIC_URL else ""
