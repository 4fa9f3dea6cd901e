"""The admin site in a browser: its theme works under its policy, a top-up shows at once, and its
pages fit a phone with a name for every control."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import LazySettings
from playwright.sync_api import Page, expect

from tests.browser.visitors import LiveStudio
from tests.people import PASSWORD, claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.credits.models import Transaction

pytestmark = pytest.mark.browser
Open = Callable[..., Page]

NAMELESS = """() => [...document.querySelectorAll(
    'input:not([type=hidden]), select, textarea, button, a[href]')]
    .filter((one) => one.offsetParent !== null)
    .filter((one) => !one.labels?.length && !one.textContent.trim() && !one.title
        && !one.getAttribute('aria-label') && !one.querySelector('img[alt]:not([alt=""])'))
    .map((one) => one.outerHTML.slice(0, 200))"""
PAGES = [
    "",
    "accounts/user/",
    "accounts/user/{alice}/change/",
    "accounts/user/{alice}/credits/",
    "credits/transaction/",
    "credits/transaction/{transaction}/change/",
    "credits/topupbatch/",
    "credits/topupbatch/new/",
    "generation/image/",
    "generation/image/{image}/change/",
    "core/auditline/",
]


@pytest.fixture
def charlie(live_studio: LiveStudio, settings: LazySettings) -> User:
    """With a password hashed as the running studio reads it: some pages ask for it."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    return make_user("charlie", is_staff=True, is_superuser=True)


def give_password(page: Page) -> None:
    """The page that asks again, before credits move."""
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()


def test_an_administrator_tops_somebody_up(open_page: Open, charlie: User) -> None:
    alice = make_user("alice")
    page = open_page("/admin/accounts/user/", charlie)
    page.get_by_role("link", name=alice.email).click()
    page.get_by_role("link", name="Top up or remove credits").click()
    page.get_by_label("Credits").fill("12.5")
    page.get_by_label("Reason").fill("prize")
    page.get_by_role("button", name="Post").click()
    give_password(page)
    sentence = "12.50 credits were posted: 200.00 before, 212.50 now."
    expect(page.get_by_text(sentence)).to_be_visible()
    page.get_by_role("link", name="Top up or remove credits").click()
    page.get_by_label("Credits").fill("0")
    page.get_by_label("Reason").fill("prize")
    page.get_by_role("button", name="Post").click()
    expect(page.get_by_text("The amount must not be 0.")).to_be_visible()
    hers = open_page("/", alice)
    expect(hers.locator("[data-balance]")).to_have_text("212.50")


def test_many_are_topped_up_from_a_file_that_was_looked_at(
    open_page: Open, charlie: User, tmp_path: Path
) -> None:
    alice, bob = make_user("alice"), make_user("bob")
    file = tmp_path / "people.csv"
    file.write_text(f"email,amount\n{alice.email},5\n{bob.email},five\n")
    page = open_page("/admin/credits/topupbatch/new/", charlie)
    form = page.get_by_role("form", name="From a file")
    form.get_by_label("CSV file").set_input_files(file)
    form.get_by_label("Reason").fill("term begins")
    form.get_by_role("button", name="Preview the file").click()
    expect(page.get_by_text("“five” is not a number")).to_be_visible()
    expect(page.get_by_role("button", name="Post")).to_have_count(0)
    file.write_text(f"email,amount\n{alice.email},5\n{bob.email},5\n")
    page.get_by_role("link", name="Start again").click()
    form.get_by_label("CSV file").set_input_files(file)
    form.get_by_label("Reason").fill("term begins")
    form.get_by_role("button", name="Preview the file").click()
    page.get_by_role("button", name="Post 10.00 credits").click()
    give_password(page)
    expect(page.get_by_text("10.00 credits were posted for 2 users.")).to_be_visible()
    expect(page.get_by_text("205.00")).to_have_count(2)


@pytest.mark.parametrize("width_px", [1280, 360])
def test_pages_fit_and_every_control_has_a_name(
    open_page: Open, charlie: User, width_px: int
) -> None:
    alice, model = make_user("alice.with.a.rather.long.name"), make_model()
    image = submit(alice, model).images.get()
    finish(claim(model))
    keys = {
        "alice": alice.pk,
        "image": image.pk,
        "transaction": Transaction.objects.latest("pk").pk,
    }
    viewport = {"width": width_px, "height": 800}
    page = open_page("/admin/", charlie, viewport=viewport)
    for path in PAGES:
        page.goto(f"/admin/{path.format(**keys)}")
        assert page.evaluate(NAMELESS) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width_px, path


def test_the_themes_menus_open_and_close(open_page: Open, charlie: User) -> None:
    page = open_page("/admin/", charlie)
    sign_out = page.get_by_role("button", name="Log out")
    expect(sign_out).to_be_hidden()
    page.get_by_text(charlie.email).first.click()
    expect(sign_out).to_be_visible()
