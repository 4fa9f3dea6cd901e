"""The mails about credits. They are sent by tasks, outside of any transaction."""

import smtplib

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from webapp.accounts.languages import language_of
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
    """Tells the user what became of a request, in their language. Raises one of MAIL_ERRORS."""
    context = {"asked": asked, "link": _link("credits")}
    with translation.override(language_of(asked.user)):
        if asked.state == CreditRequest.State.APPROVED:
            subject = _("Your request for credits was approved")
        else:
            subject = _("Your request for credits was declined")
        body = render_to_string("credits/mail/decision.txt", context)
    _send(asked.user.email, subject, body)


def send_low_balance(
    *,
    address: str,
    available_ucr: int,
    language: str,
    connection: BaseEmailBackend | None = None,
) -> None:
    """Tells somebody that little is left, and where to ask for more. Raises one of MAIL_ERRORS."""
    context = {"available_ucr": available_ucr, "link": _link("ask_for_credits")}
    with translation.override(language):
        subject = _("Your credits are running low")
        body = render_to_string("credits/mail/low_balance.txt", context)
    _send(address, subject, body, connection)


def _send(
    address: str, subject: str, body: str, connection: BaseEmailBackend | None = None
) -> None:
    EmailMessage(subject, f"{body.strip()}\n", to=[address], connection=connection).send()


def _link(name: str) -> str:
    """The page's whole address; "" if the studio was not told its own."""
    return f"{settings.PUBLIC_URL}{reverse(name)}" if settings.PUBLIC_URL else ""
