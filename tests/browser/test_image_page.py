"""What somebody sees and does on an image's page, and on the page about development."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as Picture
from playwright.sync_api import Page, expect

from tests.browser.visitors import LiveStudio
from tests.people import claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import Generation, Image

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
STARTER = Path(__file__).resolve().parents[2] / "worker" / "starter" / "pipeline"
WINDOW = "document.querySelector('[data-window]').getAttribute('viewBox')"


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    return make_user("alice")


@pytest.fixture
def starter(live_studio: LiveStudio) -> DiffusionModel:
    return make_model("starter", location=str(STARTER))


def draw(owner: User, model: DiffusionModel, width_px: int = 64) -> Image:
    made = submit(owner, model, width_px=width_px)
    assert finish(claim(model))
    return made.images.get()


def test_the_keyboard_scrubs_from_the_picture_back_to_the_noise(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    page = open_page(f"/images/{draw(alice, starter).pk}/", alice)
    slider = page.get_by_role("slider", name="How it was generated")
    expect(slider).to_have_attribute("aria-valuetext", "The finished image")
    expect(page.locator("[data-over] svg").first).to_be_hidden()
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", "Step 3 of 4, 48 % noise")
    expect(page.locator("[data-over] svg").first).to_be_visible()
    assert page.evaluate(WINDOW) == "3 0 1 1"
    page.keyboard.press("Home")
    expect(page.locator("[data-moment]:visible")).to_contain_text("text encoder")
    page.keyboard.press("End")
    expect(page.locator("[data-over] svg").first).to_be_hidden()
    assert "/images/" in page.url


def test_a_click_on_a_frame_shows_that_frame(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    page = open_page(f"/images/{draw(alice, starter).pk}/", alice)
    box = page.locator(".film").bounding_box()
    assert box
    for place in (1, 3, 0, 4, 2):
        page.mouse.click(box["x"] + box["width"] * (place + 0.8) / 5, box["y"] + box["height"] / 2)
        assert page.evaluate(WINDOW) == f"{place} 0 1 1"


def test_the_frame_lies_exactly_over_the_picture(
    open_page: Open, live_studio: LiveStudio, alice: User, starter: DiffusionModel
) -> None:
    image = draw(alice, starter, width_px=128)
    Picture.new("RGB", (128, 64), "teal").save(live_studio.media / image.file, "PNG")
    for options in ({}, PHONE):
        page = open_page(f"/images/{image.pk}/", alice, **options)
        page.locator("[data-scrub]").focus()
        page.keyboard.press("Home")
        over = page.locator("[data-over] svg").first.bounding_box()
        assert over == page.locator(".shown > img").bounding_box()


def test_playing_goes_from_the_noise_to_the_picture_and_stops(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    page = open_page(f"/images/{draw(alice, starter).pk}/", alice)
    play = page.get_by_role("button", name="Play the steps")
    play.click()
    expect(play).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[data-scrub]")).not_to_have_value("4")
    expect(play).to_have_attribute("aria-pressed", "false")
    expect(page.locator("[data-scrub]")).to_have_value("4")


def test_arrows_turn_the_page_but_not_from_the_slider(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    older, newer = draw(alice, starter), draw(alice, starter)
    page = open_page(f"/images/{newer.pk}/", alice)
    page.locator("[data-scrub]").focus()
    page.keyboard.press("ArrowRight")
    assert str(newer.pk) in page.url
    page.locator("[data-scrub]").blur()
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**/images/{older.pk}/")


def test_the_whole_screen_grows_and_shrinks_by_keys_and_escape_leaves(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    page = open_page(f"/images/{draw(alice, starter).pk}/", alice)
    page.get_by_role("link", name="Show the image in full screen").click()
    zoom = page.get_by_role("dialog")
    picture = zoom.get_by_role("img")
    width = picture.bounding_box()["width"]  # type: ignore[index]
    page.keyboard.press("+")
    assert picture.bounding_box()["width"] == 2 * width  # type: ignore[index]
    page.keyboard.press("-")
    assert picture.bounding_box()["width"] == width  # type: ignore[index]
    page.keyboard.press("Escape")
    expect(zoom).to_be_hidden()


def test_words_are_copied(open_page: Open, alice: User, starter: DiffusionModel) -> None:
    page = open_page(f"/images/{draw(alice, starter).pk}/", alice)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the prompt").click()
    expect(page.locator("[data-told]")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == "a fox at dusk"


def test_variations_are_asked_for_from_the_page(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    image = draw(alice, starter)
    page = open_page(f"/images/{image.pk}/", alice)
    page.get_by_role("button", name="4 variations").click()
    page.wait_for_url("**/")
    made = Generation.objects.latest("created_at")
    assert (made.prompt, made.images.count()) == (image.generation.prompt, 4)


def test_the_page_about_development_scrubs_both_processes_together(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    image = draw(alice, starter)
    page = open_page("/development/", alice)
    page.locator("[data-scrub]").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    windows = page.locator("[data-window]").evaluate_all(
        "all => all.map(one => one.getAttribute('viewBox'))"
    )
    assert windows == ["1 0 1 1", "1 0 1 1"]
    expect(page.locator("[data-card][data-now] h3")).to_have_text("Step 1 of 4")
    page.get_by_role("link", name="Go to the image").click()
    page.wait_for_url(f"**/images/{image.pk}/")


@pytest.mark.parametrize("path", ["image", "/development/"])
def test_both_pages_fit_a_narrow_phone_and_need_no_script(
    open_page: Open, alice: User, starter: DiffusionModel, path: str
) -> None:
    image = draw(alice, starter)
    path = f"/images/{image.pk}/" if path == "image" else path
    for script in (True, False):
        page = open_page(path, alice, **PHONE, java_script_enabled=script)
        expect(page.locator("h1")).to_be_visible()
        width = page.locator("body").bounding_box()
        assert width
        assert width["width"] == 360
        expect(page.locator("[data-scrub]")).to_be_visible(visible=script)
        expect(page.locator("[data-moment]:visible")).to_have_count(1)
