"""Mail over SMTP, while no database connection is held, to a server that may be away."""

import smtplib
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend

from webapp.core.connections import let_go_of_database
from webapp.core.neighbours import MAIL, MailAway

Words = ParamSpec("Words")
Answer = TypeVar("Answer")


class PatientEmailBackend(EmailBackend):
    """Raises MailAway if the server is not reached, or does not answer in EMAIL_TIMEOUT; for a
    while after that nobody waits for it. What it refuses stays an smtplib.SMTPException."""

    def open(self) -> bool | None:
        """True for a new connection, False for one that is open already. Raises MailAway if the
        server is known not to answer."""
        let_go_of_database()
        if self.connection is None and not MAIL.is_worth_asking():
            raise MailAway("the mail server is known not to answer")
        return _told(super().open)

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """How many mails the server took. Raises MailAway, and SMTPException if it refuses them."""
        let_go_of_database()
        return _told(super().send_messages, email_messages)


def _told(act: Callable[Words, Answer], *words: Words.args, **options: Words.kwargs) -> Answer:
    """The answer; what it says of the server is remembered."""
    try:
        answer = act(*words, **options)
    except (TimeoutError, smtplib.SMTPServerDisconnected) as error:
        MAIL.fell_silent()
        raise MailAway(str(error)) from error
    except smtplib.SMTPException:
        MAIL.answered()
        raise
    except MailAway:
        raise
    except OSError as error:
        raise MailAway(str(error)) from error
    MAIL.answered()
    return answer
