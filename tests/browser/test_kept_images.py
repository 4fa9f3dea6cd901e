"""What a browser keeps of images, and that it takes them from a bucket."""

from collections.abc import Callable

import pytest
from django.test import Client
from playwright.sync_api import Page, Request

from tests.browser.visitors import LiveStudio, Visitors, wait_for
from tests.core.bucket_calls import BUCKET, KEYS
from tests.faults.hanging_proxy import HangingProxy
from tests.people import claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.generation.models import Image

pytest_plugins = ["tests.core.buckets"]
pytestmark = pytest.mark.browser

ALL_SHOWN = """(picked) => [...document.querySelectorAll(picked)].length > 0 && [...document
    .querySelectorAll(picked)].every((image) => image.complete && image.naturalWidth > 0)"""

STATUS = "(path) => fetch(path).then((answer) => answer.status)"


def draw(owner: User) -> Image:
    """A finished image."""
    model = make_model()
    submit(owner, model)
    assert finish(claim(model))
    return Image.objects.get(owner=owner)


def test_a_browser_asks_whether_a_thumbnail_is_the_same_and_shows_what_it_kept(
    live_studio: LiveStudio, visitors: Visitors
) -> None:
    alice = make_user("alice")
    draw(alice)
    page = visitors.open("/gallery/", alice)
    wait_for(page, ALL_SHOWN, ".wall img")
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    for _again in range(2):
        page.goto("/gallery/")
        wait_for(page, ALL_SHOWN, ".wall img")
    thumbnails = [one for one in asked if one.url.endswith("/thumbnail/")]
    assert len(thumbnails) == 2
    assert all(one.all_headers().get("if-none-match") for one in thumbnails)


def test_whoever_signs_in_next_is_not_shown_what_the_browser_kept(
    live_studio: LiveStudio, visitors: Visitors
) -> None:
    alice, bob = make_user("alice"), make_user("bob")
    image = draw(alice)
    page = visitors.open("/gallery/", alice)
    wait_for(page, ALL_SHOWN, ".wall img")
    assert page.evaluate(STATUS, f"/images/{image.pk}/file/") == 200
    page.context.clear_cookies()
    client = Client()
    client.force_login(bob)
    value = client.cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": value, "url": visitors.url}])
    visitors.expect_status(404)
    for kind in ("file", "thumbnail"):
        assert page.evaluate(STATUS, f"/images/{image.pk}/{kind}/") == 404


def test_a_page_shows_images_that_come_from_the_bucket(
    hanging_bucket: HangingProxy,
    visitors: Visitors,
    start_studio: Callable[[dict[str, str]], LiveStudio],
) -> None:
    """The bucket is another site: the policy of the page has to let its images in."""
    studio = start_studio(
        {
            "DARKROOM_S3_BUCKET": BUCKET,
            "DARKROOM_S3_ENDPOINT": hanging_bucket.url,
            "DARKROOM_S3_ACCESS_KEY": KEYS["access_key"],
            "DARKROOM_S3_SECRET_KEY": KEYS["secret_key"],
            "DARKROOM_SEND_IMAGES": "bucket",
        }
    )
    alice = make_user("alice")
    image = draw(alice)
    page = at_studio(visitors, studio, alice, f"/images/{image.pk}/")
    wait_for(page, ALL_SHOWN, "a.shown img")
    with page.expect_download() as download:
        page.evaluate(f"location.href = '/images/{image.pk}/download/'")
    assert download.value.suggested_filename.endswith(".png")
    assert download.value.url.startswith(hanging_bucket.url)


def at_studio(visitors: Visitors, studio: LiveStudio, user: User, path: str) -> Page:
    """A page of that studio, whose complaints are collected as everybody's."""
    visitors.url = studio.url
    return visitors.open(path, user)
