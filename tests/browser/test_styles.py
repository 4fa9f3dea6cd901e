"""Choosing a style, by pointer, by keyboard and on a phone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitors import LiveStudio
from tests.people import make_model, make_user
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import Generation
from webapp.generation.request.styles import PLAIN, STYLES

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
SAMPLES = Path(__file__).parents[2] / "static"
SHIFTS = """new PerformanceObserver((list) => {
    const moved = list.getEntries().flatMap((shift) => shift.sources.map(({ node }) => node));
    const sheet = document.querySelector(".styles");
    window.shifted = (window.shifted ?? 0) + moved.filter((node) => sheet.contains(node)).length;
}).observe({ type: "layout-shift", buffered: true });"""


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    return make_user("alice")


@pytest.fixture
def tiny(live_studio: LiveStudio) -> DiffusionModel:
    return make_model()


def styles_shown(page: Page) -> int:
    return page.locator(".style:visible").count()


def generate(page: Page) -> None:
    page.get_by_label("Prompt", exact=True).fill("a fox at dusk")
    page.locator(".bar [data-go]").click()
    expect(page.locator("[data-image]")).to_have_count(4)


def test_every_style_has_a_small_sample() -> None:
    files = [SAMPLES / style.sample for style in STYLES.values() if style.slug != PLAIN]
    sizes = [file.stat().st_size for file in files]
    assert max(sizes) <= 6 * 1024
    assert sum(sizes) <= 70 * 1024
    assert len(list((SAMPLES / "styles").glob("*.svg"))) == len(files), (
        "no sample without its style"
    )
    assert not any(" style=" in file.read_text() for file in files), "the policy allows none"


def test_a_style_is_chosen_sent_and_named_in_the_feed(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice)
    group = page.get_by_role("group", name="Style")
    expect(group.get_by_role("radio", name="None")).to_be_checked()
    assert styles_shown(page) == 8
    page.get_by_role("button", name="Show all styles").click()
    assert styles_shown(page) == 18
    page.locator(".style", has_text="Pixel art").click()
    generate(page)
    expect(page.locator(".facts")).to_contain_text("style: Pixel art")
    assert Generation.objects.get().style == "pixel-art"
    page.get_by_role("link", name="Reuse these settings").first.click()
    expect(page.get_by_role("radio", name="Pixel art")).to_be_checked()


def test_the_chosen_style_stays_in_sight_when_the_others_are_folded_away(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice)
    page.get_by_role("button", name="Show all styles").click()
    page.locator(".style", has_text="Origami").click()
    page.get_by_role("button", name="Show fewer styles").click()
    assert styles_shown(page) == 8
    expect(page.locator(".style", has_text="Origami")).to_be_visible()
    page.reload()
    expect(page.get_by_role("radio", name="Origami")).to_be_checked()
    expect(page.locator(".style", has_text="Origami")).to_be_visible()


def test_the_arrow_keys_walk_through_all_styles(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice)
    page.get_by_role("radio", name="None").focus()
    walked = []
    for _step in range(len(STYLES)):
        page.keyboard.press("ArrowRight")
        walked.append(page.locator('[name="style"]:checked').input_value())
    assert walked == [*list(STYLES)[1:], PLAIN]
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("radio", name="Tile texture")).to_be_checked()
    expect(page.get_by_role("radio", name="Tile texture")).to_be_focused()


def test_a_phone_shows_the_chosen_style_alone_until_asked_for_all(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice, **PHONE)
    page.get_by_role("button", name="Settings").click()
    assert styles_shown(page) == 1
    page.get_by_role("button", name="Show all styles").tap()
    assert styles_shown(page) == 18
    page.locator(".style", has_text="Low poly").tap()
    page.get_by_role("button", name="Show fewer styles").tap()
    assert styles_shown(page) == 1
    expect(page.locator(".style", has_text="Low poly")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_samples_come_late_and_move_nothing(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice)
    page.evaluate(SHIFTS)
    page.get_by_role("button", name="Show all styles").click()
    for sample in page.locator(".style img").all():
        sample.scroll_into_view_if_needed()
        expect(sample).to_have_js_property("complete", True)
        assert sample.evaluate("one => one.naturalWidth") > 0
        assert (sample.get_attribute("loading"), sample.get_attribute("width")) == ("lazy", "72")
    assert page.evaluate("window.shifted ?? 0") == 0


def test_styles_are_chosen_without_javascript(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice, java_script_enabled=False)
    assert styles_shown(page) == 18
    page.locator(".style", has_text="Line art").click()
    page.get_by_label("Prompt", exact=True).fill("a fox at dusk")
    page.locator(".bar [data-go]").click()
    expect(page.locator(".facts")).to_contain_text("style: Line art")
