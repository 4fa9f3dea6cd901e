"""Two-factor authentication: an authenticator app, passkeys, recovery codes.

The ceremony is django-allauth's; here is what is ours: secrets are encrypted at rest, and the
sentences.
"""

import base64
from collections.abc import Iterable
from typing import ClassVar

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken
from django.utils.crypto import salted_hmac
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.accounts.models import User
from webapp.core.errors import Conflict

Kind = Authenticator.Type


class SecondStepAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """How allauth keeps the secrets of two-factor authentication, and what it says."""

    error_messages: ClassVar[dict[str, str | Promise]] = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": gettext_lazy("This code is incorrect. Codes change every 30 seconds."),
        "cannot_generate_recovery_codes": gettext_lazy("Set up two-factor authentication first."),
        "unverified_email": gettext_lazy("Confirm your e-mail address first."),
    }

    def encrypt(self, text: str) -> str:
        """The text as it is stored: nobody who reads the database alone reads it."""
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """The text again. Raises Conflict if it was written under another secret key."""
        try:
            return _cipher().decrypt(encrypted_text.encode()).decode()
        except InvalidToken as error:
            sentence = _(
                "The two-factor authentication of this account can't be read any more "
                "because the studio's secret key was changed. Ask an administrator to turn "
                "it off."
            )
            raise Conflict(sentence) from error

    def generate_authenticator_name(self, user: User, type: str) -> str:
        """What a new passkey is called until its owner says otherwise."""
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return _("Passkey %(number)d") % {"number": number}


def list_second_steps(*, user: User) -> list[Authenticator]:
    """The authenticator app and the passkeys of the user, oldest first; recovery codes are no step
    of their own."""
    steps = Authenticator.objects.filter(user=user).exclude(type=Kind.RECOVERY_CODES)
    return list(steps.order_by("created_at", "pk"))


def remove_second_steps(*, user: User) -> int:
    """Takes all of them off, recovery codes too; returns how many there were. From then on the
    password alone is enough."""
    removed, _by_model = Authenticator.objects.filter(user=user).delete()
    return int(removed)


def count_by_kind(steps: Iterable[Authenticator]) -> dict[str, int]:
    """How many steps of each kind there are, for the pages: `{"totp": 1, "webauthn": 2}`."""
    counts = {Kind.TOTP.value: 0, Kind.WEBAUTHN.value: 0}
    for step in steps:
        counts[step.type] += 1
    return counts


def _cipher() -> Fernet:
    key = salted_hmac("accounts.second_step", "key", algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(key))
