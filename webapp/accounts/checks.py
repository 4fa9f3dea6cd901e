"""What the settings about accounts must say before the studio opens."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error


def check_public_url(**options: Any) -> list[CheckMessage]:
    """An error if mails go out and nobody said where their links lead: a request's Host is what
    its sender likes."""
    if not settings.EMAIL_HOST or settings.PUBLIC_URL:
        return []
    return [
        Error(
            "DARKROOM_SMTP_HOST is set, DARKROOM_PUBLIC_URL is not.",
            hint="Links in mails lead there: say where people reach the studio, such as"
            " DARKROOM_PUBLIC_URL=https://studio.example.org.",
            id="accounts.E001",
        )
    ]
