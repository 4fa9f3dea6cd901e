"""Two strangers sign up, draw and download beside each other, and never meet."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitors import LiveStudio, Visitors, wait_until_heard
from tests.people import claim, finish, make_model
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import Image

pytestmark = pytest.mark.browser


@pytest.fixture
def tiny(live_studio: LiveStudio) -> DiffusionModel:
    return make_model()


def sign_up(visitors: Visitors, name: str) -> Page:
    page = visitors.open("/accounts/signup/")
    page.get_by_label("Email").fill(f"{name}@example.org")
    page.get_by_label("Password").fill("a long and quiet password")
    page.get_by_role("button", name="Create account").click()
    wait_until_heard(page)
    return page


def ask(page: Page, words: str) -> None:
    page.get_by_role("radio", name="1", exact=True).check(force=True)
    page.get_by_label("Prompt", exact=True).fill(words)
    page.locator(".bar [data-go]").click()
    expect(page.locator("[data-image]")).to_have_attribute("data-state", "queued")


def test_two_accounts_go_from_sign_up_to_download_and_never_see_each_others_pictures(
    visitors: Visitors, tiny: DiffusionModel
) -> None:
    pages = {
        words: sign_up(visitors, name)
        for name, words in (("ann", "seven brass kettles"), ("ben", "nine blue violins"))
    }
    for words, page in pages.items():
        ask(page, words)
    for _image in pages:
        assert finish(claim(tiny))
    visitors.expect_status(404)
    for words, other in (
        ("seven brass kettles", "nine blue violins"),
        ("nine blue violins", "seven brass kettles"),
    ):
        page = pages[words]
        expect(page.get_by_role("img", name=words)).to_be_visible()
        expect(page.get_by_text(other)).to_have_count(0)
        theirs = Image.objects.get(generation__prompt=other)
        for address in ("", "file/", "thumbnail/", "download/"):
            answer = page.request.get(f"{visitors.url}/images/{theirs.pk}/{address}")
            assert answer.status == 404, address
        page.goto("/gallery/")
        expect(page.get_by_role("img", name=words)).to_be_visible()
        expect(page.get_by_role("img", name=other)).to_have_count(0)
        mine = Image.objects.get(generation__prompt=words)
        page.goto(f"/images/{mine.pk}/")
        with page.expect_download() as download:
            page.evaluate(f"location.href = '/images/{mine.pk}/download/'")
        assert download.value.path().read_bytes().startswith(b"\x89PNG")
