"""What somebody sees who waits: a place, honest seconds, and whether anybody draws at all."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import APIResponse, Locator, Page, Route, expect

from tests.browser.visitors import LiveStudio, Visitors, wait_until_heard
from tests.people import claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.valkey import valkey
from webapp.generation import events
from webapp.generation.models import Image
from webapp.generation.queueing import heartbeat, services

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
NOBODY = "No worker is running: images wait, and nothing is charged."


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    return make_user("alice")


@pytest.fixture
def bob(live_studio: LiveStudio) -> User:
    return make_user("bob")


@pytest.fixture
def tiny(live_studio: LiveStudio) -> DiffusionModel:
    return make_model()


def work(*models: DiffusionModel, name: str = "worker-1") -> None:
    heartbeat.beat_once(name=name, models=[model.slug for model in models], facts={})


def measure(owner: User, model: DiffusionModel, *, seconds: float) -> None:
    made = submit(owner, model)
    assert finish(claim(model))
    now = timezone.now()
    Image.objects.filter(generation=made).update(
        started_at=now - timedelta(seconds=seconds), finished_at=now
    )


def tile_of(page: Page, image: Image) -> Locator:
    return page.locator(f"#image-{image.pk}")


def test_waiting_tiles_say_their_place_and_the_seconds_and_move_up_by_themselves(
    open_page: Open, alice: User, bob: User, tiny: DiffusionModel
) -> None:
    measure(bob, tiny, seconds=9)
    work(tiny)
    images = list(submit(alice, tiny, count=4).images.order_by("index"))
    page = open_page("/", alice)
    wait_until_heard(page)
    expect(tile_of(page, images[0])).to_contain_text("next in line")
    expect(tile_of(page, images[0])).to_contain_text("about 9 s")
    expect(tile_of(page, images[2])).to_contain_text("3rd in line")
    expect(tile_of(page, images[2])).to_contain_text("about 30 s")
    services.cancel_image(owner=alice, image_id=images[0].pk)
    expect(tile_of(page, images[1])).to_contain_text("next in line")
    expect(tile_of(page, images[2])).to_contain_text("2nd in line")
    expect(tile_of(page, images[2])).to_contain_text("about 20 s")
    claim(tiny)
    expect(tile_of(page, images[3])).to_contain_text("2nd in line")


def test_anothers_request_moves_a_place_only_as_far_as_it_is_fair(
    open_page: Open, alice: User, bob: User, tiny: DiffusionModel
) -> None:
    work(tiny)
    images = list(submit(alice, tiny, count=3).images.order_by("index"))
    page = open_page("/", alice)
    wait_until_heard(page)
    last = tile_of(page, images[2])
    expect(last).to_contain_text("3rd in line")
    expect(last.locator("[data-wait]")).to_have_text("")
    submit(bob, tiny, count=10)
    expect(last).to_contain_text("5th in line")
    expect(tile_of(page, images[0])).to_contain_text("next in line")


def test_places_come_by_polling_too(
    visitors: Visitors, alice: User, bob: User, tiny: DiffusionModel
) -> None:
    visitors.expect_status(503)
    work(tiny)
    submit(bob, tiny)
    image = submit(alice, tiny).images.get()
    context = visitors.context(alice)
    context.route("**/events/", lambda route: route.fulfill(status=503))
    page = visitors.tab(context, "/")
    expect(tile_of(page, image)).to_contain_text("2nd in line")
    claim(tiny)
    expect(tile_of(page, image)).to_contain_text("next in line")


def test_places_are_there_without_javascript(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    measure(alice, tiny, seconds=70)
    work(tiny)
    submit(alice, tiny, count=2)
    page = open_page("/", alice, java_script_enabled=False)
    expect(page.locator(".tile.queued").nth(0)).to_contain_text("about 2 min")
    expect(page.locator(".tile.queued").nth(1)).to_contain_text("2nd in line")


def test_a_model_without_a_worker_says_so(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    lonely = make_model("lonely")
    work(tiny)
    submit(alice, lonely)
    page = open_page("/", alice)
    wait_until_heard(page)
    expect(page.locator(".tile.queued")).to_contain_text("no worker uses this model now")
    expect(page.get_by_text(NOBODY)).to_be_hidden()
    work(tiny, lonely, name="worker-2")
    expect(page.locator(".tile.queued")).to_contain_text("next in line")


def test_a_developing_tile_says_the_step_and_the_seconds_left(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    submit(alice, tiny, steps=30)
    claimed = claim(tiny)
    facts = {"id": str(claimed.image_id), "generation": str(claimed.generation_id), "steps": 30}
    step = {**facts, "stage": "denoising", "step": 12}
    events.publish_progress(user_id=alice.pk, event={**step, "left_s": 5.6})
    page = open_page("/", alice)
    tile = page.locator(".tile.running")
    expect(tile).to_contain_text("step 12 of 30")
    expect(tile).to_contain_text("about 6 s left")
    wait_until_heard(page)
    events.publish_progress(user_id=alice.pk, event={**step, "step": 20, "left_s": 2.0})
    expect(tile).to_contain_text("about 2 s left")
    events.publish_progress(user_id=alice.pk, event={**facts, "stage": "decoding", "step": 30})
    expect(tile).to_contain_text("finishing the image")
    expect(tile.locator("[data-left]")).to_have_text("")


def test_an_answer_that_news_overtook_is_not_shown(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    submit(alice, tiny, steps=30)
    claimed = claim(tiny)
    facts = {"id": str(claimed.image_id), "generation": str(claimed.generation_id), "steps": 30}
    events.publish_progress(
        user_id=alice.pk, event={**facts, "stage": "denoising", "step": 20, "left_s": 2.0}
    )
    answers: list[tuple[Route, APIResponse]] = []
    context = visitors.context(alice)
    context.route("**/studio/state/**", lambda route: answers.append((route, route.fetch())))
    page = visitors.tab(context, "/")
    wait_until_heard(page)
    while not answers:
        page.wait_for_timeout(20)
    tile = page.locator(".tile.running")
    events.publish_progress(user_id=alice.pk, event={**facts, "stage": "decoding", "step": 30})
    expect(tile).to_contain_text("finishing the image")
    with page.expect_response("**/studio/state/**"):
        for route, answer in answers:
            route.fulfill(response=answer)
    page.wait_for_timeout(200)
    expect(tile).to_contain_text("finishing the image")


def test_a_notice_says_that_no_worker_runs_until_one_comes(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice)
    wait_until_heard(page)
    expect(page.get_by_text(NOBODY)).to_be_visible()
    expect(page.get_by_text("make up")).to_have_count(0)
    submit(alice, tiny)
    expect(page.locator(".tile.queued")).to_contain_text("waiting")
    work(tiny)
    expect(page.get_by_text(NOBODY)).to_be_hidden()
    expect(page.locator(".tile.queued")).to_contain_text("next in line")
    valkey().delete(f"{heartbeat.PREFIX}worker-1")
    expect(page.get_by_text(NOBODY)).to_be_visible()
    expect(page.locator(".tile.queued")).to_contain_text("waiting")


def test_an_administrator_reads_how_to_start_a_worker(
    open_page: Open, live_studio: LiveStudio, tiny: DiffusionModel
) -> None:
    page = open_page("/", make_user("charlie", is_staff=True, is_superuser=True))
    expect(page.get_by_text(NOBODY)).to_be_visible()
    expect(page.get_by_text("celery -A webapp.celery worker")).to_be_visible()
    expect(page.get_by_role("link", name="Overview of workers and queue")).to_be_visible()
