"""Passkeys and two-factor authentication in a real browser: Chromium's virtual authenticator."""

import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.conf import LazySettings
from playwright.sync_api import Page, expect

from tests.browser.visitors import LiveStudio, Visitors
from tests.people import PASSWORD, make_user

pytestmark = pytest.mark.browser
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture(autouse=True)
def _real_passwords(live_studio: LiveStudio, settings: LazySettings) -> None:
    """Hashed as the running studio reads them: these pages ask for the password."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]


@pytest.fixture
def by_name(visitors: Visitors) -> Visitors:
    """The same studio by a name, as browsers ask for if there is no https."""
    visitors.url = visitors.url.replace("127.0.0.1", "localhost")
    return visitors


def give_device(page: Page) -> tuple[Any, str]:
    """A fingerprint reader that always says yes: the session that owns it, and its id."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    return session, made["authenticatorId"]


def sign_in(page: Page, address: str) -> None:
    page.get_by_label("Email").fill(address)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def open_sign_in(visitors: Visitors) -> Page:
    return visitors.open("/accounts/login/")


def come_in(visitors: Visitors) -> tuple[Page, Any, str]:
    """Alice in the studio, with a device that can hold passkeys: her page, the session that owns
    the device, and its id."""
    alice = make_user("alice")
    page = open_sign_in(visitors)
    session, device = give_device(page)
    sign_in(page, alice.email)
    expect(page).to_have_url(f"{visitors.url}/")
    return page, session, device


def add_passkey(page: Page, name: str) -> None:
    page.goto("/account/")
    page.get_by_role("link", name="Two-factor authentication and passkeys").click()
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()


def test_a_passkey_is_added_and_then_opens_the_studio_without_a_password(by_name: Visitors) -> None:
    page, _session, _device = come_in(by_name)
    add_passkey(page, "My laptop")
    page.context.clear_cookies()
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(f"{by_name.url}/")
    page.goto("/accounts/2fa/webauthn/")
    expect(page.get_by_text("signs in without the password")).to_be_visible()
    page.get_by_role("link", name="Remove My laptop").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No passkeys yet.")).to_be_visible()
    assert not Authenticator.objects.filter(type="webauthn").exists()


def test_after_the_password_the_passkey_is_asked_for(by_name: Visitors) -> None:
    page, _session, _device = come_in(by_name)
    add_passkey(page, "My laptop")
    page.context.clear_cookies()
    page.goto("/accounts/login/")
    sign_in(page, "alice@example.org")
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    page.get_by_role("button", name="Use a passkey or security key").click()
    expect(page).to_have_url(f"{by_name.url}/")


def test_a_device_that_says_nothing_is_one_sentence(by_name: Visitors) -> None:
    page, session, device = come_in(by_name)
    session.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})
    page.goto("/accounts/2fa/webauthn/add/")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("alert")).to_contain_text("Your device did not respond")
    assert not Authenticator.objects.exists()


def test_a_page_opened_by_a_number_says_why_there_are_no_passkeys(visitors: Visitors) -> None:
    alice = make_user("alice")
    page = open_sign_in(visitors)
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
    sign_in(page, alice.email)
    expect(page).to_have_url(f"{visitors.url}/")
    page.goto("/accounts/2fa/webauthn/add/")
    expect(page.get_by_role("alert")).to_contain_text("Passkeys need a current browser")
    expect(page.get_by_role("button", name="Add it")).to_be_disabled()


def test_an_authenticator_app_is_set_up_and_asked_for(visitors: Visitors) -> None:
    alice = make_user("alice")
    page = open_sign_in(visitors)
    sign_in(page, alice.email)
    expect(page).to_have_url(f"{visitors.url}/")
    page.goto("/accounts/2fa/")
    page.get_by_role("link", name="Set up").click()
    expect(page.get_by_role("img", name="QR code")).to_have_js_property("complete", value=True)
    secret = page.locator(".secret").inner_text()
    page.get_by_label("Code").fill(code_of(secret))
    page.get_by_role("button", name="Turn on").click()
    expect(
        page.get_by_role("list", name="Codes that are left").get_by_role("listitem")
    ).to_have_count(10)
    page.context.clear_cookies()
    page.goto("/accounts/login/")
    sign_in(page, alice.email)
    expect(page.get_by_role("button", name="Use a passkey or security key")).to_have_count(0)
    page.get_by_label("Code").fill(code_of(secret))
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{visitors.url}/")


def code_of(secret: str) -> str:
    """What an authenticator app shows now."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))
