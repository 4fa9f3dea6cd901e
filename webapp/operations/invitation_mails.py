"""The mail that carries an invitation to the one address that it is for."""

import logging
import smtplib

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from webapp.accounts.models import Invitation
from webapp.core.links import public_link

logger = logging.getLogger(__name__)


def mail_invitation(*, invitation: Invitation, token: str) -> str:
    """Sends the link with this token to the invitation's address and returns that address.

    "" if the invitation is for anybody, if no mail server is set up, or if it did not
    take the mail, which is logged: the link is on the administrator's page in any case. Call it
    outside of any transaction.
    """
    if not invitation.email or not settings.EMAIL_HOST:
        return ""
    link = public_link(reverse("invite", args=[token]))
    body = render_to_string("accounts/invitation.txt", {"invitation": invitation, "link": link})
    subject = _("You are invited to Darkroom")
    try:
        EmailMessage(subject, f"{body.strip()}\n", to=[invitation.email]).send()
    except (smtplib.SMTPException, OSError) as error:
        logger.error("the invitation to %s was not sent: %s", invitation.email, error)
        return ""
    return invitation.email
