"""The account page, an invitation and somebody else's eyes, in a browser."""

from typing import Any

import pytest
from django.conf import LazySettings
from playwright.sync_api import Page, expect

from tests.browser.visitors import LiveStudio, Visitors
from tests.people import PASSWORD, claim, finish, make_model, make_user, submit
from webapp.accounts.models import User

pytestmark = pytest.mark.browser
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}}


@pytest.fixture(autouse=True)
def _real_passwords(live_studio: LiveStudio, settings: LazySettings) -> None:
    """Hashed as the running studio reads them: these pages ask for the password."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]


def give_password(page: Page) -> None:
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()


def test_somebody_takes_their_data_and_leaves(visitors: Visitors) -> None:
    alice, tiny = make_user("alice"), make_model()
    submit(alice, tiny)
    assert finish(claim(tiny))
    page = visitors.open("/account/", alice, **PHONE)
    page.get_by_role("link", name="Download").click()
    give_password(page)
    expect(page.get_by_text("1 image as a PNG file")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the archive").click()
    assert download.value.suggested_filename.endswith(".zip")
    page.get_by_role("link", name="Back to your account").click()
    page.get_by_role("link", name="Delete my account").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_role("button", name="Delete my account").click()
    expect(page.get_by_text("Your account is being deleted. Good-bye!")).to_be_visible()
    assert not User.objects.get().is_active


def test_an_administrator_invites_somebody_and_looks_through_their_eyes(
    visitors: Visitors,
) -> None:
    charlie = make_user("charlie", is_staff=True, is_superuser=True)
    make_model()
    page = visitors.open("/admin/accounts/invitation/make/", charlie)
    page.get_by_label("Extra credits").fill("5")
    page.get_by_role("button", name="Create the link").click()
    give_password(page)
    link = page.get_by_label("Invitation").input_value()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status")).to_have_text("Copied")

    theirs = visitors.open(link, **PHONE)
    expect(theirs.get_by_text("5.00 extra credits")).to_be_visible()
    theirs.get_by_label("Email").fill("dora@example.org")
    theirs.get_by_label("Password").fill(PASSWORD)
    theirs.get_by_role("button", name="Create account").click()
    expect(theirs.locator("[data-balance]")).to_have_text("205.00")

    dora = User.objects.get(email="dora@example.org")
    page.goto(f"/admin/accounts/user/{dora.pk}/eyes/")
    page.get_by_label("Reason").fill("cannot find an image")
    page.get_by_role("button", name="View").click()
    banner = page.get_by_role("form", name="Viewing as another user")
    expect(banner).to_contain_text("You are viewing the studio as dora@example.org")
    visitors.expect_status(403)
    page.get_by_label("Prompt", exact=True).fill("a fox")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_text("This view is read-only.", exact=False).last).to_be_visible()
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    banner.get_by_role("button", name="Stop viewing").click()
    expect(page).to_have_url(f"{page.url.split('/admin')[0]}/admin/accounts/user/{dora.pk}/change/")
