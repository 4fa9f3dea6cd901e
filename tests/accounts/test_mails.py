"""What django-allauth shows and sends is in our words, in every language: no page, message or mail
of its own gets through."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import allauth
import pytest
from django.conf import LazySettings, settings
from django.core import mail
from django.template.loader import get_template, render_to_string
from django.test import Client
from django.utils import translation

from tests.security.addresses import list_addresses
from webapp.accounts.models import User

THEIRS = Path(allauth.__file__).parent / "templates"
CREDIT_MAILS = (Path(settings.BASE_DIR) / "templates/credits/mail").glob("*.txt")
OURS = str(Path(settings.BASE_DIR) / "templates")
LINK = "https://studio.example.org/accounts/password/reset/key/1-abc/"
ADDRESS = "o'neil&co@example.net"
CONTEXT: dict[str, Any] = {
    "email": ADDRESS,
    "from_email": ADDRESS,
    "to_email": ADDRESS,
    "deleted_email": ADDRESS,
    "recipient": ADDRESS,
    "activate_url": LINK,
    "password_reset_url": LINK,
    "signup_url": LINK,
    "ip": "192.0.2.1",
    "user_agent": "A browser",
    "timestamp": "2026-11-29 12:00",
}
# Nobody here has a telephone number.
USED = "account/email/*.txt", "account/messages/*.txt", "mfa/email/*.txt", "mfa/messages/*.txt"
TEXTS = sorted(
    str(path.relative_to(THEIRS))
    for pattern in USED
    for path in THEIRS.glob(pattern)
    if not path.name.startswith("phone_")
)
MESSAGES = [name for name in TEXTS if name.endswith("_message.txt") and "/base_" not in name]
OWN_MAILS = ["accounts/invitation.txt", *sorted(f"credits/mail/{p.name}" for p in CREDIT_MAILS)]
LANGUAGES = [code for code, _name in settings.LANGUAGES]


def page_templates() -> Iterator[str]:
    for one in list_addresses():
        name = getattr(getattr(one.callback, "view_class", None), "template_name", None)
        if name and one.callback.__module__.startswith("allauth."):
            yield name


@pytest.mark.parametrize("name", [*TEXTS, *sorted(page_templates())])
def test_a_text_of_allauth_is_replaced_by_ours(name: str) -> None:
    found: Any = get_template(name)
    assert found.origin.name.startswith(OURS)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", ["approved", "declined"])
@pytest.mark.parametrize("name", OWN_MAILS)
def test_a_mail_of_the_studio_has_its_link_on_a_line_of_its_own(
    name: str, state: str, language: str
) -> None:
    asked = {"state": state, "answer": "No.", "granted_ucr": 1, "amount_ucr": 1}
    invitation = {"grant_ucr": 1, "expires_at": datetime(2026, 11, 29, tzinfo=UTC)}
    context = {"asked": asked, "available_ucr": 1, "invitation": invitation, "link": LINK}
    with translation.override(language):
        lines = render_to_string(name, context).splitlines()
    assert [line for line in lines if "://" in line] == [LINK]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", MESSAGES)
def test_a_mail_names_no_site_and_has_its_links_on_lines_of_their_own(
    name: str, language: str
) -> None:
    """A mail program would take a Korean particle into the link, and a link that follows the
    request's Host would be a stranger's to choose."""
    with translation.override(language):
        text = render_to_string(name, {**CONTEXT, "code": ""})
        subject = render_to_string(name.replace("_message.txt", "_subject.txt"), CONTEXT)
    assert "example.com" not in text
    assert text.rstrip().endswith("Darkroom")
    assert "&" not in text.replace(ADDRESS, "")
    for line in text.splitlines():
        assert "://" not in line or line == LINK
    assert len(subject.strip().splitlines()) == 1
    assert bool(re.search("[가-힣]", text + subject)) is (language == "ko")


def test_a_code_takes_the_place_of_the_link() -> None:
    text = render_to_string("account/email/email_confirmation_message.txt", {"code": "ABC-123"})
    assert "ABC-123" in text.splitlines()


@pytest.mark.parametrize(
    ("language", "subject"), [("en", "Choose a new password"), ("ko", "새 비밀번호 정하기")]
)
def test_the_mail_for_a_new_password_is_ours(
    client: Client, alice: User, settings: LazySettings, language: str, subject: str
) -> None:
    settings.PUBLIC_URL = "https://studio.example.org"
    form, headers = {"email": alice.email}, {"Accept-Language": language}
    client.post("/accounts/password/reset/", form, headers=headers)
    (sent,) = mail.outbox
    assert sent.subject == subject
    assert "testserver" not in sent.body
    links = [line for line in str(sent.body).splitlines() if "://" in line]
    assert len(links) == 1
    assert re.fullmatch(r"https://studio\.example\.org/accounts/password/reset/key/\S+/", links[0])


def test_whoever_has_no_account_is_told_so_by_mail_alone(client: Client, db: None) -> None:
    client.post("/accounts/password/reset/", {"email": "nobody@example.org"})
    (sent,) = mail.outbox
    assert sent.subject == "There is no account with this address"
    assert "no Darkroom account has this e-mail address" in sent.body
