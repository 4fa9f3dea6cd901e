"""What a worker and its engine log says for whom: the page's request, the user and the image."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.people import submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.logs import JsonFormatter
from webapp.core.trail import Trail, on_trail
from webapp.generation.models import Image
from worker.pipelines.runner import DiffusersRunner
from worker.tasks import Desk

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey_is_empty")]


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """All that is logged, one JSON object a line."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


def told_by(lines: io.StringIO, room: str) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    return [line for line in told if line["logger"] == room]


def test_an_image_is_followed_from_its_page_to_the_worker(
    alice: User, tiny: DiffusionModel, desk: Desk, lines: io.StringIO
) -> None:
    with on_trail(Trail("a-request", find_user_id=lambda: alice.pk)):
        image = submit(alice, tiny, steps=2).images.get()
    desk.answer()
    (asked,) = told_by(lines, "webapp.generation.queueing.services")
    (stored,) = [line for line in told_by(lines, "worker.drawing") if "stored" in line["message"]]
    assert asked["request_id"] == stored["request_id"] == "a-request"
    assert asked["user_id"] == stored["user_id"] == alice.pk
    assert stored["image_id"] == str(image.pk)


def test_the_engine_names_the_image_that_fails_and_no_other(
    alice: User,
    bob: User,
    tiny: DiffusionModel,
    desk: Desk,
    lines: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = DiffusersRunner.begin

    def begin_but_for_hers(runner: DiffusersRunner, request: Any) -> Any:
        logging.getLogger("worker.pipelines").warning("begins")
        if request.owner_id == str(alice.pk):
            raise ValueError("of hers alone")
        return begin(runner, request)

    monkeypatch.setattr(DiffusersRunner, "begin", begin_but_for_hers)
    with on_trail(Trail("of-hers")):
        hers = submit(alice, tiny, steps=2).images.get()
    with on_trail(Trail("of-his")):
        his = submit(bob, tiny, steps=2).images.get()
    desk.answer()
    wanted = {(str(hers.pk), alice.pk, "of-hers"), (str(his.pk), bob.pk, "of-his")}
    begun = told_by(lines, "worker.pipelines")
    assert {(one["image_id"], one["user_id"], one["request_id"]) for one in begun} == wanted
    (failed,) = told_by(lines, "worker.engine.job")
    assert (failed["image_id"], failed["request_id"]) == (str(hers.pk), "of-hers")
    assert failed["exception"].endswith("ValueError: of hers alone")
    his.refresh_from_db()
    assert his.state == Image.State.STORED
