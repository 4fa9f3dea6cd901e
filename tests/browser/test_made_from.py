"""What somebody makes of a finished image, from its page on."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitors import LiveStudio, wait_for
from tests.people import claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import Generation, Image, Upload
from webapp.generation.request.uploads import create_upload_from_image

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    return make_user("alice")


@pytest.fixture
def offered(live_studio: LiveStudio) -> DiffusionModel:
    return make_model()


def stored(owner: User, model: DiffusionModel, **changes: Any) -> Image:
    made = submit(owner, model, **changes)
    assert finish(claim(model))
    return made.images.get()


def test_an_enlargement_is_asked_for_with_one_click_and_shows_in_the_studio(
    open_page: Open, alice: User, offered: DiffusionModel
) -> None:
    image = stored(alice, offered)
    page = open_page(f"/images/{image.pk}/", alice)
    page.get_by_role("button", name="Upscale to twice the size 128 × 128 · 0.20 credits").click()
    expect(page.locator("[data-generation]").first).to_contain_text("upscaling")
    made = Generation.objects.get(mode="upscale")
    assert (made.parent, made.width_px) == (image, 128)


def test_a_picture_becomes_the_start_of_the_next(
    open_page: Open, alice: User, offered: DiffusionModel
) -> None:
    image = stored(alice, offered, prompt="an owl")
    page = open_page(f"/images/{image.pk}/", alice)
    page.get_by_role("link", name="Use as start image").click()
    expect(page.locator("[data-start-ready]")).to_be_visible()
    expect(page.locator("#prompt")).to_have_value("an owl")
    page.get_by_role("button", name="Generate").first.click()
    expect(page.locator("[data-generation]").first).to_contain_text("image to image")
    made = Generation.objects.get(mode="image")
    assert (made.start, made.parent) == (Upload.objects.get(), image)


def test_editing_a_picture_opens_the_mask_editor(
    open_page: Open, alice: User, offered: DiffusionModel
) -> None:
    image = stored(alice, offered)
    page = open_page(f"/images/{image.pk}/", alice)
    page.get_by_role("link", name="Edit", exact=True).click()
    expect(page.locator("dialog[open]")).to_be_visible()


def test_the_page_shows_what_a_picture_was_made_from_and_what_came_of_it(
    open_page: Open, alice: User, offered: DiffusionModel
) -> None:
    parent = stored(alice, offered)
    start = create_upload_from_image(owner=alice, image=parent)
    brought: dict[str, Any] = {
        "mode": "image",
        "start_id": start.pk,
        "strength": 0.6,
        "parent_id": parent.pk,
    }
    child = stored(alice, offered, **brought)
    page = open_page(f"/images/{child.pk}/", alice)
    shown = page.get_by_role("img", name="The start image")
    expect(shown).to_be_visible()
    shown.scroll_into_view_if_needed()
    wait_for(page, "document.querySelector('.brought img').naturalWidth > 0")
    page.get_by_role("region", name="Made from, image to image").get_by_role("link").click()
    page.wait_for_url(f"**/images/{parent.pk}/")
    expect(page.get_by_role("region", name="Made from this one")).to_contain_text("image to image")
