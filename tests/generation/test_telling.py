"""Open pages are told their own places when those change, by one look for all of them."""

import asyncio
import json
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection

from tests.people import claim, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation import events
from webapp.generation.live import streams
from webapp.generation.live.streams import hub, stream_events
from webapp.generation.models import Image
from webapp.generation.queueing import heartbeat, services
from webapp.generation.queueing.places import QueueView

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("valkey_is_empty", "quick"),
]
SOON_S = 20
Answer = TypeVar("Answer")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(streams, "REST", 0)
    monkeypatch.setattr(streams, "PATIENCE_S", 0.3)


class Page:
    """What one open page was told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def tell_places(self, facts: str) -> None:
        self.told.append(json.loads(facts))


async def next_places(user: User, wanted: dict[uuid.UUID, int]) -> dict[str, Any]:
    """Opens a page of the user and waits until it is told these places."""
    asked = {str(image_id): place for image_id, place in wanted.items()}
    async for frame in stream_events(user.pk):
        kind, _colon, data = frame.decode().partition("\ndata: ")
        if kind != "event: places":
            continue
        facts: dict[str, Any] = json.loads(data)
        if {key: one["place"] for key, one in facts["places"].items()} == asked:
            return facts
    raise AssertionError("the stream ended")


async def in_thread(work: Callable[..., Answer], *arguments: object) -> Answer:
    """The answer of database work, whose connection is not left open."""

    def run() -> Answer:
        try:
            return work(*arguments)
        finally:
            connection.close()

    return await sync_to_async(run)()


def queue_for(owner: User, model: DiffusionModel, count: int) -> list[uuid.UUID]:
    images = submit(owner, model, count=count).images.order_by("index")
    return list(images.values_list("pk", flat=True))


async def test_an_open_page_is_told_its_places_and_each_move(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    await in_thread(partial(heartbeat.beat_once, name="worker-1", models=["tiny"], facts={}))
    mine = await in_thread(queue_for, alice, offered_model, 2)
    theirs = await in_thread(queue_for, bob, offered_model, 1)
    async with asyncio.timeout(SOON_S):
        first, other = await asyncio.gather(
            next_places(alice, {mine[0]: 1, mine[1]: 3}), next_places(bob, {theirs[0]: 2})
        )
        assert first["workers"] == other["workers"] == 1
        told = asyncio.create_task(next_places(alice, {mine[1]: 2}))
        await asyncio.sleep(0.2)
        await in_thread(claim, offered_model)
        await told


async def test_the_last_page_that_closes_ends_the_looking(
    alice: User, offered_model: DiffusionModel
) -> None:
    async with asyncio.timeout(SOON_S):
        await next_places(alice, {})
    home = hub()
    for stream in [one for mine in home.streams.values() for one in mine]:
        home.close(stream)
    assert home.tasks == []


async def test_a_page_that_was_told_the_same_is_left_in_peace(alice: User) -> None:
    stream = hub().open(alice.pk)
    stream.tell_places('{"workers": 1}')
    stream.tell_places('{"workers": 1}')
    stream.tell_places('{"workers": 0}')
    frames = [stream.frames.get_nowait() for _frame in range(stream.frames.qsize())]
    hub().close(stream)
    assert [frame.decode().partition("data: ")[2] for frame in frames] == [
        '{"workers": 1}\n\n',
        '{"workers": 0}\n\n',
    ]


async def test_a_database_that_is_away_ends_nothing(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Any] = [OperationalError("away"), (QueueView(2), {})]

    def look(_user_ids: object) -> Any:
        answer = answers.pop(0) if answers else (QueueView(2), {})
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(streams, "_look", look)
    page = Page()
    task = asyncio.create_task(streams.Teller({alice.pk: [page]}).tell_for_ever())
    async with asyncio.timeout(SOON_S):
        while not page.told:
            await asyncio.sleep(0.05)
    task.cancel()
    assert page.told[0] == {"type": "places", "workers": 2, "waiting": 0, "places": {}}


def test_a_look_serves_all_who_wait_and_asks_nothing_of_those_who_do_not(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    heartbeat.beat_once(name="worker-1", models=["tiny"], facts={})
    queue_for(alice, offered_model, 1)
    view, waiting = streams._look([alice.pk, bob.pk])
    assert waiting == {alice.pk: 1}
    assert list(view.places) == [alice.pk]
    image = Image.objects.get()
    services.cancel_image(owner=alice, image_id=image.pk)
    assert streams._look([alice.pk, bob.pk]) == (QueueView(1), {})
    events.publish_queue_moved()
