"""The page of credits: filtered without a script, by keyboard, and on a narrow phone."""

import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitors import LiveStudio, Visitors
from tests.people import claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.credits import ledger
from webapp.generation.models import Image
from webapp.generation.queueing import services

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    return make_user("alice")


@pytest.fixture
def tiny(live_studio: LiveStudio) -> DiffusionModel:
    return make_model()


@pytest.fixture
def lines(alice: User, tiny: DiffusionModel) -> None:
    """An image, one that was cancelled, and a gift."""
    submit(alice, tiny, prompt="a fox at dusk")
    assert finish(claim(tiny))
    cancelled = submit(alice, tiny, prompt="second thoughts").images.get()
    services.cancel_image(owner=alice, image_id=cancelled.pk)
    charlie = make_user("charlie", is_staff=True, is_superuser=True)
    key = uuid.uuid4().hex
    ledger.top_up(user=alice, amount_ucr=5_000_000, actor=charlie, reason="a prize", key=key)


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize("scripts", [True, False])
def test_a_filter_is_chosen_and_taken_back(open_page: Open, alice: User, scripts: bool) -> None:
    page = open_page("/credits/", alice, java_script_enabled=scripts)
    rows = page.locator(".table-frame tbody tr")
    expect(rows).to_have_count(4)
    page.get_by_label("Lines", exact=True).select_option("Not charged")
    page.get_by_role("button", name="Show").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("second thoughts")
    expect(page.get_by_label("Lines", exact=True)).to_have_value("not_charged")
    page.get_by_role("link", name="All lines").click()
    expect(rows).to_have_count(4)


@pytest.mark.usefixtures("lines")
def test_a_line_leads_to_its_receipt_and_the_receipt_to_its_lines(
    open_page: Open, alice: User
) -> None:
    page = open_page("/credits/", alice)
    page.get_by_role("link", name="−0.20 receipt").click()
    receipt = page.get_by_role("region", name="Receipt")
    expect(receipt).to_contain_text("charged")
    receipt.get_by_text("waited").click()
    expect(receipt.get_by_text("generating")).to_be_visible()
    page.get_by_role("link", name="Its lines in your statement").click()
    expect(page.locator(".table-frame tbody tr")).to_have_count(1)
    expect(page.get_by_text("Only the lines of one image.")).to_be_visible()


@pytest.mark.usefixtures("lines")
def test_the_file_is_saved_with_what_the_filter_shows(open_page: Open, alice: User) -> None:
    page = open_page("/credits/?kind=top_up", alice)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download these lines as CSV").click()
    text = download.value.path().read_text("utf-8-sig")
    assert len(text.splitlines()) == 2
    assert "a prize" in text


@pytest.mark.usefixtures("lines")
def test_a_filter_that_is_none_says_so_at_its_place(visitors: Visitors, alice: User) -> None:
    visitors.expect_status(400)
    page = visitors.open("/credits/?since=2026-02-02&until=2026-02-01", alice)
    expect(page.get_by_role("alert")).to_have_text(
        "The first day is after the last day. Choose an earlier first day."
    )
    expect(page.get_by_label("From")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("To")).to_have_value("2026-02-01")


@pytest.mark.usefixtures("lines")
def test_the_pages_of_money_fit_a_narrow_phone(visitors: Visitors, alice: User) -> None:
    context = visitors.context(alice, **PHONE)
    stored = Image.objects.get(state=Image.State.STORED)
    for path in ("/credits/", "/credits/?kind=code", f"/images/{stored.pk}/#receipt"):
        page = visitors.tab(context, path)
        assert page.evaluate("document.documentElement.scrollWidth") == 360, path
        page.close()
