"""Sizes on the page: those that the chosen model names, or its limits."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.visitors import LiveStudio
from tests.people import make_model, make_user
from tests.vocabularies import give_vocabulary
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    return make_user("alice")


@pytest.fixture
def small(live_studio: LiveStudio) -> DiffusionModel:
    return give_vocabulary(make_model("small", is_default=True))


def prompt_of(page: Page) -> Locator:
    return page.get_by_label("Prompt", exact=True)


def test_only_the_sizes_that_it_names_can_be_chosen(
    open_page: Open, alice: User, small: DiffusionModel
) -> None:
    make_model("other", name="Other")
    page = open_page("/", alice)
    shape = page.get_by_label("Aspect ratio")
    text = page.locator("[data-shape-text]")
    expect(text).to_have_text("1 : 1 · 64 × 64")
    expect(page.get_by_text("Exact size")).to_be_hidden()
    shape.press("ArrowRight")
    expect(text).to_have_text("128 × 64")
    shape.press("ArrowRight")
    expect(text).to_have_text("128 × 64")
    page.get_by_label("Model", exact=True).select_option("other")
    expect(page.get_by_text("Exact size")).to_be_visible()
    shape.press("Home")
    expect(text).to_have_text("9 : 16 · 64 × 112")
    page.get_by_label("Model", exact=True).select_option("small")
    expect(text).to_have_text("1 : 1 · 64 × 64")
    prompt_of(page).fill("a cat")
    page.locator(".bar [data-go]").click()
    expect(page.locator("[data-image]")).to_have_count(4)


def test_a_draft_of_a_size_that_the_model_names_no_more_takes_the_nearest(
    open_page: Open, alice: User, small: DiffusionModel
) -> None:
    page = open_page("/", alice)
    page.get_by_label("Aspect ratio").press("ArrowRight")
    expect(page.locator("[data-shape-text]")).to_have_text("128 × 64")
    give_vocabulary(small, sizes=[[64, 64], [192, 64]])
    page.reload()
    expect(page.locator("[data-shape-text]")).to_have_text("192 × 64")
    expect(page.locator("#width")).to_have_value("192")


def test_a_model_of_one_size_offers_no_choice_of_shapes(
    open_page: Open, alice: User, small: DiffusionModel
) -> None:
    give_vocabulary(small, sizes=[[64, 64]])
    page = open_page("/", alice)
    expect(page.locator("[data-shape-text]")).to_have_text("1 : 1 · 64 × 64")
    expect(page.get_by_label("Aspect ratio")).to_be_hidden()


def test_the_limits_below_the_size_are_those_of_the_chosen_model(
    open_page: Open, alice: User, small: DiffusionModel
) -> None:
    make_model("first", name="First", min_side_px=64)
    make_model("other", name="Other", min_side_px=72, max_side_px=320)
    page = open_page("/", alice)
    page.get_by_label("Model", exact=True).select_option("other")
    page.get_by_text("Exact size").click()
    expect(page.locator("#size-limits")).to_have_text("72 to 320 pixels, in steps of 8")
    page.get_by_label("Model", exact=True).select_option("first")
    expect(page.locator("#size-limits")).to_have_text("64 to 256 pixels, in steps of 8")
