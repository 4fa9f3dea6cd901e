"""The studio on a phone: the sheet of settings, Generate always in view, targets for fingers."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.visitors import LiveStudio, Visitors
from tests.people import claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import Generation

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
SIZES = [(360, 640), (390, 844)]
# What may be hit around a control counts as well; links within a sentence are as large as it is.
SMALL = """(least) => [...document.querySelectorAll("a, button, summary, input, select, textarea")]
  .filter((one) => one.checkVisibility({ visibilityProperty: true, opacityProperty: false }))
  .filter((one) => !one.closest("p, .hidden, .skip, dialog:not([open])"))
  .filter((one) => !one.closest("[popover]:not(:popover-open)"))
  .filter((one) => !["hidden", "radio", "checkbox"].includes(one.type))
  .map((one) => {
    const box = one.getBoundingClientRect();
    const after = getComputedStyle(one, "::after");
    const wider = after.content !== "none" && after.position === "absolute";
    const [x, y] = wider ? [parseFloat(after.width), parseFloat(after.height)] : [0, 0];
    return { box, wide: Math.max(box.width, x), high: Math.max(box.height, y), one };
  })
  .filter(({ box, wide, high }) => box.width > 1 && (high < least || wide < 36))
  .map(({ one, wide, high }) => `${one.outerHTML.slice(0, 90)} ${wide | 0}x${high | 0}`)
"""


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    return make_user("alice")


@pytest.fixture
def tiny(live_studio: LiveStudio) -> DiffusionModel:
    return make_model()


def phone(width: int, height: int) -> dict[str, Any]:
    return {
        "viewport": {"width": width, "height": height},
        "has_touch": True,
        "is_mobile": True,
    }


def open_sheet(page: Page) -> Locator:
    page.get_by_role("button", name="Settings", exact=True).tap()
    sheet = page.locator("#settings")
    expect(sheet).to_be_visible()
    page.wait_for_timeout(400)
    return sheet


def pull(page: Page, sheet: Locator, by_px: int) -> None:
    """Takes the sheet at its head and pulls it down, slowly enough to be no flick."""
    box = sheet.locator("[data-sheet-head]").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + 12
    page.mouse.move(x, y)
    page.mouse.down()
    for part in range(1, 11):
        page.mouse.move(x, y + by_px * part / 10)
        page.wait_for_timeout(30)
    page.wait_for_timeout(200)
    page.mouse.up()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_generate_is_in_view_with_the_sheet_and_without_it(
    open_page: Open, alice: User, tiny: DiffusionModel, width: int, height: int
) -> None:
    for _request in range(4):
        submit(alice, tiny, count=4)
    page = open_page("/", alice, **phone(width, height))
    dock = page.locator(".bar [data-go]")
    expect(dock).to_be_in_viewport(ratio=1)
    page.mouse.wheel(0, 900)
    expect(dock).to_be_in_viewport(ratio=1)
    sheet = open_sheet(page)
    foot = sheet.locator(".sheet-foot [data-go]")
    expect(foot).to_be_in_viewport(ratio=1)
    sheet.evaluate("(box) => box.scrollTo(0, box.scrollHeight)")
    expect(foot).to_be_in_viewport(ratio=1)
    expect(sheet.get_by_label("Sampler")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_prompt_card_leaves_most_of_a_small_phone_to_the_pictures(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice, **phone(360, 640))
    card = page.locator("#composer").bounding_box()
    assert card is not None
    assert card["height"] < 640 * 0.36
    page.get_by_label("Prompt", exact=True).fill("many words " * 60)
    expect(page.locator(".bar [data-go]")).to_be_in_viewport(ratio=1)
    card = page.locator("#composer").bounding_box()
    assert card is not None
    assert card["height"] < 640 * 0.6


def test_the_sheet_is_pulled_away_by_its_head_and_a_short_pull_lets_it_be(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice, **phone(390, 844))
    sheet = open_sheet(page)
    at_rest = sheet.bounding_box()
    pull(page, sheet, 60)
    page.wait_for_timeout(300)
    expect(sheet).to_be_visible()
    assert sheet.bounding_box() == at_rest
    pull(page, sheet, 420)
    expect(sheet).to_be_hidden()
    expect(open_sheet(page)).to_be_visible()


def test_a_tap_beside_the_sheet_closes_it_and_what_was_chosen_stays(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice, **phone(390, 844))
    sheet = open_sheet(page)
    sheet.get_by_role("radio", name="2", exact=True).check(force=True)
    page.touchscreen.tap(195, 30)
    expect(sheet).to_be_hidden()
    expect(page).to_have_title("Studio · Darkroom")
    page.get_by_label("Prompt", exact=True).fill("a fox at dusk")
    page.locator(".bar [data-go]").tap()
    expect(page.locator("[data-image]")).to_have_count(2)


def test_generate_of_the_sheet_sends_and_makes_room_for_the_pictures(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice, **phone(360, 640))
    page.get_by_label("Prompt", exact=True).fill("a fox at dusk")
    sheet = open_sheet(page)
    sheet.locator(".sheet-foot [data-go]").tap()
    expect(sheet).to_be_hidden()
    expect(page.locator("[data-image]").first).to_be_in_viewport()
    assert Generation.objects.count() == 1


def test_with_the_keyboard_up_prompt_and_generate_are_both_in_view(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice, **phone(390, 844))
    assert "interactive-widget=resizes-content" in (
        page.locator("meta[name=viewport]").get_attribute("content") or ""
    )
    page.get_by_label("Prompt", exact=True).tap()
    # As Chrome does with that line: the keyboard takes its height from the page.
    page.set_viewport_size({"width": 390, "height": 500})
    expect(page.get_by_label("Prompt", exact=True)).to_be_in_viewport(ratio=1)
    expect(page.locator(".bar [data-go]")).to_be_in_viewport(ratio=1)
    # As Safari does: it lies over the page, whose script is told how much is left.
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate(
        """() => {
          Object.defineProperty(visualViewport, "height", { value: 500 });
          visualViewport.dispatchEvent(new Event("resize"));
        }"""
    )
    box = page.locator(".bar [data-go]").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 500


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("is_staff", [False, True])
def test_what_is_tapped_is_as_large_as_a_fingertip(
    visitors: Visitors, alice: User, tiny: DiffusionModel, width: int, height: int, is_staff: bool
) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=is_staff)
    submit(alice, tiny, count=2)
    assert finish(claim(tiny))
    page = visitors.open("/", alice, **phone(width, height))
    assert page.evaluate(SMALL, 44) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    open_sheet(page)
    assert page.evaluate(SMALL, 44) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Earlier prompts").tap()
    page.wait_for_timeout(400)
    assert page.evaluate(SMALL, 44) == []


def test_the_help_of_a_phone_comes_from_the_menu_and_speaks_of_no_keys(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice, **phone(360, 640))
    page.get_by_role("button", name="Account menu").tap()
    page.locator(".menu").get_by_role("button", name="Help and shortcuts").tap()
    help_ = page.get_by_role("dialog", name="Help")
    expect(help_).to_be_in_viewport()
    expect(help_.get_by_text("Browse my earlier prompts")).to_be_hidden()
    expect(help_.get_by_role("link", name="Price list")).to_be_visible()
    help_.get_by_role("button", name="Close the help").tap()
    expect(help_).to_be_hidden()


@pytest.mark.parametrize("path", ["/", "/gallery/", "/account/", "/credits/", "/prices/"])
def test_korean_words_stay_whole_and_fit(
    visitors: Visitors, alice: User, tiny: DiffusionModel, path: str
) -> None:
    submit(alice, tiny)
    page = visitors.open(path, alice, locale="ko-KR", **phone(360, 640))
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    assert page.evaluate("() => getComputedStyle(document.querySelector('main')).wordBreak") == (
        "keep-all"
    )
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
