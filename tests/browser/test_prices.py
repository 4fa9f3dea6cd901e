"""Prices in a browser: shown before the click, and changed by administrators."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitors import LiveStudio, Visitors
from tests.people import make_model, make_user
from tests.prices import make_group, make_list
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel, PriceList
from webapp.generation.models import Generation

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    return make_user("alice")


@pytest.fixture
def large(live_studio: LiveStudio) -> DiffusionModel:
    sides = {"width_px": 512, "height_px": 512, "max_side_px": 1024, "max_pixels": 2**20}
    return make_model("large", steps=30, is_default=True, **sides)


def test_a_metered_price_follows_the_steps_and_the_size(
    open_page: Open, alice: User, large: DiffusionModel
) -> None:
    make_model("tiny")
    make_list(flat="0.05", metered={large: ("0.00000216", "0.1")})
    page = open_page("/", alice)
    price, after = page.locator(".bar [data-go-price]"), page.locator("[data-after]")
    expect(price).to_have_text("0.80")
    page.get_by_label("Steps", exact=True).fill("50")
    expect(price).to_have_text("1.32")
    expect(after).to_have_text("balance after 198.68")
    page.get_by_text("Exact size").click()
    page.get_by_label("Width").fill("1024")
    page.get_by_label("Height").fill("1024")
    page.get_by_label("Steps", exact=True).fill("30")
    expect(price).to_have_text("7.60")
    expect(page.locator("[data-each]")).to_have_text("1.90 each")
    page.get_by_label("Model", exact=True).select_option("tiny")
    expect(price).to_have_text("0.20")
    page.get_by_label("Model", exact=True).select_option("large")
    page.get_by_label("Prompt", exact=True).fill("a fox")
    expect(price).to_have_text("0.80")
    page.locator(".bar [data-go]").click()
    expect(page.locator("[data-image]")).to_have_count(4)
    assert Generation.objects.get().price_each_ucr == 200_000


def test_a_size_that_is_none_has_no_price_until_it_is_one(
    visitors: Visitors, alice: User, large: DiffusionModel
) -> None:
    visitors.expect_status(400)
    make_list(flat="0.05", metered={large: ("0.00000216", "0.1")})
    page = visitors.open("/", alice)
    page.get_by_label("Prompt", exact=True).fill("a fox")
    page.get_by_label("Steps", exact=True).fill("900")
    expect(page.locator(".bar [data-go-price]")).to_have_text("–")
    page.locator(".bar [data-go]").click()
    expect(page.locator("#wrong-steps")).to_contain_text("Steps must be from 1 to 150")
    page.get_by_label("Steps", exact=True).fill("30")
    expect(page.locator(".bar [data-go-price]")).to_have_text("0.80")


def test_a_price_that_changed_meanwhile_is_said_and_shown_before_anything_is_queued(
    visitors: Visitors, alice: User, large: DiffusionModel
) -> None:
    visitors.expect_status(409)
    page = visitors.open("/", alice)
    expect(page.locator(".bar [data-go-price]")).to_have_text("0.80")
    make_list(flat="0.5")
    page.get_by_label("Prompt", exact=True).fill("a fox")
    page.locator(".bar [data-go]").click()
    expect(page.get_by_role("alert")).to_have_text(
        "The price of one image changed from 0.20 to 0.50 credits. Nothing was queued."
    )
    expect(page.locator(".bar [data-go-price]")).to_have_text("2.00")
    assert not Generation.objects.exists()
    page.locator(".bar [data-go]").click()
    expect(page.locator("[data-image]")).to_have_count(4)
    assert Generation.objects.get().price_each_ucr == 500_000


def test_a_group_without_a_price_reads_why_before_it_clicks(
    open_page: Open, alice: User, large: DiffusionModel
) -> None:
    alice.group = make_group("Guests")
    alice.save()
    make_list(flat="0.2")
    page = open_page("/", alice)
    expect(page.locator("[data-after]")).to_contain_text("“Guests” has no price yet")
    expect(page.locator(".bar [data-go-price]")).to_have_text("–")


def test_an_administrator_changes_prices_after_seeing_what_changes(
    open_page: Open, large: DiffusionModel
) -> None:
    charlie = make_user("charlie", is_staff=True, is_superuser=True)
    page = open_page("/admin/catalog/pricelist/", charlie)
    page.get_by_role("link", name="Change the prices").click()
    row = page.get_by_role("group", name="Large")
    expect(row.get_by_label("Factor")).to_be_hidden()
    row.get_by_label("Price", exact=True).select_option("by size and steps")
    expect(row.get_by_label("Factor")).to_have_value("0.00000216")
    row.get_by_label("Minimum price").fill("0.1")
    page.get_by_role("button", name="Show what changes").click()
    expect(page.get_by_role("region", name="This would change")).to_contain_text("Large")
    page.get_by_role("button", name="Save as the next version").click()
    expect(page.get_by_text("of the price list is in force.")).to_be_visible()
    assert PriceList.objects.get().models.get().floor_ucr == 100_000
