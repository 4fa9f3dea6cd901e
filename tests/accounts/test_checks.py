"""Mails may not go out before somebody said where their links lead."""

import pytest
from django.conf import LazySettings

from webapp.accounts.checks import check_public_url


@pytest.mark.parametrize(
    ("host", "url", "errors"),
    [
        ("", "", []),
        ("mail.example.org", "https://studio.example.org", []),
        ("mail.example.org", "", ["accounts.E001"]),
    ],
)
def test_mail_needs_a_public_address(
    settings: LazySettings, host: str, url: str, errors: list[str]
) -> None:
    settings.EMAIL_HOST, settings.PUBLIC_URL = host, url
    assert [one.id for one in check_public_url()] == errors
