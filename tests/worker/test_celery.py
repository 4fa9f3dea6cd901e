"""From the doorbell to the gallery, with a real Celery worker and a real (tiny) pipeline."""

import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Queue
from PIL import Image as Picture
from pytest_django import DjangoDbBlocker
from redis.client import PubSub

from tests.people import submit
from tests.worker.running import celery_worker, wait_until, wait_until_ended
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel, queue_name
from webapp.celery import app
from webapp.core import herald
from webapp.core.trail import Trail, on_trail
from webapp.core.valkey import valkey
from webapp.credits.models import Hold
from webapp.credits.requests import MAIL_TASK
from webapp.credits.selectors import get_balance
from webapp.generation import events
from webapp.generation.queueing import doorbell, services
from webapp.generation.storage import read_file
from webapp.operations.audit import find_violations

pytestmark = pytest.mark.django_db(transaction=True)

START_UCR = 200_000_000
PRICE_UCR = 200_000


@pytest.fixture(scope="module")
def worker_media(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """Where the worker that runs during this file keeps its images."""
    with django_db_blocker.unblock():
        valkey().flushdb()
        with celery_worker(tmp_path_factory.mktemp("worker")) as media:
            yield media


@pytest.fixture(autouse=True)
def _same_media(settings: Any, worker_media: Path, _fast_and_private: None) -> None:
    settings.MEDIA_ROOT = worker_media


@pytest.fixture
def news(alice: User) -> Iterator[PubSub]:
    """Alice's channel, from now on."""
    subscription = valkey().pubsub(  # type: ignore[no-untyped-call]
        ignore_subscribe_messages=True
    )
    subscription.subscribe(events.channel(alice.pk))
    subscription.get_message(timeout=1.0)
    yield subscription
    subscription.close()


def next_event(news: PubSub, timeout_s: float = 30.0) -> dict[str, Any]:
    """The next event of the channel; fails the test when none comes."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        message = news.get_message(timeout=1.0)
        if message:
            return dict(json.loads(message["data"]))
    raise AssertionError("no event came")


def events_until(news: PubSub, state: str) -> list[dict[str, Any]]:
    """The events up to the one that says that an image is in this state."""
    heard = [next_event(news)]
    while heard[-1].get("state") != state:
        heard.append(next_event(news))
    return heard


def test_a_doorbell_becomes_a_charged_picture_with_its_parameters(
    alice: User, tiny: DiffusionModel
) -> None:
    submit(alice, tiny, width_px=128, height_px=64, seed=11)
    (image,) = wait_until_ended(60.0)
    assert image.state == "stored", image.failure
    picture = Picture.open(io.BytesIO(read_file(image.file)))
    assert (picture.format, picture.size) == ("PNG", (128, 64))
    parameters = picture.info["parameters"]
    assert parameters.startswith("a fox at dusk\nNegative prompt: people\nSteps: 4, ")
    assert "Seed: 11" in parameters
    assert Picture.open(io.BytesIO(read_file(image.thumbnail))).format == "WEBP"
    assert get_balance(user=alice).posted_ucr == START_UCR - PRICE_UCR
    assert not list(find_violations())


def test_what_a_task_logs_belongs_to_the_request_that_sent_it(worker_media: Path) -> None:
    log = worker_media.parent / "worker.log"
    with on_trail(Trail("a-request-of-this-test")):
        herald.send_task(MAIL_TASK, what="a mail", args=["no number"])
    wait_until(lambda: "request_id=a-request-of-this-test" in log.read_text(), 30.0, log)
    (line,) = [one for one in log.read_text().splitlines() if "a-request-of-this-test" in one]
    assert MAIL_TASK in line


def test_an_image_says_which_node_drew_it(alice: User, tiny: DiffusionModel) -> None:
    """Of two equal GPUs in one machine, a user's or administrator's name for the worker tells."""
    submit(alice, tiny)
    (image,) = wait_until_ended(60.0)
    assert re.fullmatch(r"tests@.+-\d+", image.worker)


def test_the_same_seed_gives_the_same_picture(alice: User, tiny: DiffusionModel) -> None:
    """One after the other: images that share denoiser calls are rounded with their neighbours."""
    for seed in (5, 5, 6):
        submit(alice, tiny, seed=seed)
        wait_until_ended()
    one, same, other = (image.sha256 for image in wait_until_ended())
    assert one == same
    assert other != one


def test_however_often_it_rings_each_image_is_drawn_once(alice: User, tiny: DiffusionModel) -> None:
    submit(alice, tiny, count=5)
    for _ring in range(5):
        doorbell.ring(model_slug=tiny.slug, images=4)
    images = wait_until_ended()
    assert [(image.state, image.attempt) for image in images] == [("stored", 1)] * 5
    assert get_balance(user=alice).posted_ucr == START_UCR - 5 * PRICE_UCR
    assert not list(find_violations())


def test_progress_and_previews_arrive_on_the_owners_channel(
    alice: User, tiny: DiffusionModel, news: PubSub
) -> None:
    submit(alice, tiny, steps=8)
    heard = events_until(news, "stored")
    steps = [event["step"] for event in heard if event["type"] == "progress"]
    assert steps == sorted(steps)
    assert steps[-1] == 8
    previews = [event["preview"] for event in heard if "preview" in event]
    assert previews
    assert all(preview.startswith("data:image/webp;base64,") for preview in previews)
    assert next_event(news)["available"] == "199.80"


def test_a_cancellation_is_seen_within_a_step_or_two(
    alice: User, tiny: DiffusionModel, news: PubSub
) -> None:
    """The flag is set before the page hears of it, so what the worker says after that news is
    what it did before it looked at the flag."""
    generation = submit(alice, tiny, steps=100, width_px=256, height_px=128)
    while next_event(news).get("step", 0) < 2:
        pass
    services.cancel_generation(owner=alice, generation_id=generation.pk)
    last_before = [event["step"] for event in events_until(news, "cancelled") if "step" in event]
    submit(alice, tiny)
    # A step is told twice, if a preview of it follows.
    after = {event["step"] for event in events_until(news, "stored") if event.get("steps") == 100}
    assert len(after) <= 2
    assert max([*after, 0]) <= max([*last_before, 2]) + 3
    wait_until_ended()
    assert sorted(Hold.objects.values_list("state", flat=True)) == ["captured", "released"]
    assert get_balance(user=alice).available_ucr == START_UCR - PRICE_UCR
    assert not list(find_violations())


class _Trap:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_a_pickle_on_the_broker_is_refused_and_the_worker_goes_on(
    alice: User, tiny: DiffusionModel, worker_media: Path, tmp_path: Path
) -> None:
    trap = tmp_path / "sprung"
    name = queue_name(tiny.slug)
    with app.connection_for_write() as connection:
        queue = Queue(name, routing_key=name)
        connection.Producer(serializer="pickle").publish(
            {"trap": _Trap(trap)}, routing_key=name, declare=[queue]
        )
    log = worker_media.parent / "worker.log"
    wait_until(lambda: "Refusing to deserialize" in log.read_text(errors="replace"), 20.0, log)
    submit(alice, tiny)
    assert wait_until_ended()[0].state == "stored"
    assert not trap.exists()
