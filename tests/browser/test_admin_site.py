"""The admin site in a browser: its theme works under its policy, and a top-up shows at once."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitors import LiveStudio
from tests.people import make_user
from webapp.accounts.models import User

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


@pytest.fixture
def charlie(live_studio: LiveStudio) -> User:
    return make_user("charlie", is_staff=True, is_superuser=True)


def test_an_administrator_tops_somebody_up(open_page: Open, charlie: User) -> None:
    alice = make_user("alice")
    page = open_page("/admin/accounts/user/", charlie)
    page.get_by_role("link", name=alice.email).click()
    page.get_by_role("link", name="Top up credits").click()
    page.get_by_label("Credits").fill("0")
    page.get_by_label("Reason").fill("prize")
    page.get_by_role("button", name="Book").click()
    expect(page.get_by_text("more than 0")).to_be_visible()
    page.get_by_label("Credits").fill("12.5")
    page.get_by_role("button", name="Book").click()
    expect(page.get_by_text("12.5 credits were booked.")).to_be_visible()
    expect(page.get_by_text("212.50")).to_be_visible()
    hers = open_page("/", alice)
    expect(hers.locator("[data-balance]")).to_have_text("212.50")


def test_the_themes_menus_open_and_close(open_page: Open, charlie: User) -> None:
    page = open_page("/admin/", charlie)
    sign_out = page.get_by_role("button", name="Log out")
    expect(sign_out).to_be_hidden()
    page.get_by_text(charlie.email).first.click()
    expect(sign_out).to_be_visible()
