"""Places in the queue are those in which workers take the images, and seconds are measured ones."""

import random
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.pages import serve_plain_static
from tests.people import claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.valkey import valkey
from webapp.generation import events
from webapp.generation.models import Image
from webapp.generation.queueing import heartbeat, places, services
from webapp.generation.queueing.claims import claim_next
from webapp.generation.queueing.places import Pace, QueueView, look_at_queue, measure_paces

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey_is_empty")]
SIDES_PX = (64, 128, 192, 256)


def work(*models: DiffusionModel, name: str = "worker-1") -> None:
    """A worker that serves these models is alive."""
    heartbeat.beat_once(name=name, models=[model.slug for model in models], facts={})


def numbers(view: QueueView) -> dict[uuid.UUID, int | None]:
    return {
        image_id: place.number for mine in view.places.values() for image_id, place in mine.items()
    }


def seconds_of(owner: User, image_id: uuid.UUID) -> int | None:
    return look_at_queue(owner_ids=[owner.pk]).places[owner.pk][image_id].seconds


def measure(
    owner: User,
    model: DiffusionModel,
    *,
    seconds: float,
    worker: str = "",
    ago_s: float = 0.0,
    load_s: float = 0.0,
) -> None:
    """One image of 64 x 64 in 4 steps was drawn, in so many seconds; a worker without a name
    has drawn nothing else."""
    made = submit(owner, model)
    assert finish(claim(model))
    finished_at = timezone.now() - timedelta(seconds=ago_s)
    Image.objects.filter(generation=made).update(
        worker=worker or uuid.uuid4().hex,
        started_at=finished_at - timedelta(seconds=seconds),
        finished_at=finished_at,
        timings_s={"load_s": load_s},
    )


def queue_some(people: list[User], models: list[DiffusionModel], dice: random.Random) -> None:
    """Requests of several sizes, some of which are taken or cancelled at once."""
    for _request in range(14):
        side_px = dice.choice(SIDES_PX)
        made = submit(
            dice.choice(people),
            dice.choice(models),
            count=dice.randint(1, 4),
            steps=dice.randint(1, 9),
            width_px=side_px,
            height_px=side_px,
        )
        if dice.random() < 0.3:
            claim_next(models=[model.slug for model in models], worker="worker-1")
        if dice.random() < 0.2:
            owner = User.objects.get(pk=made.owner_id)
            image = made.images.filter(state=Image.State.QUEUED).first()
            if image is not None:
                services.cancel_image(owner=owner, image_id=image.pk)


@pytest.mark.parametrize("seed", range(6))
def test_places_are_the_order_in_which_workers_take_the_images(seed: int) -> None:
    dice = random.Random(seed)
    people = [make_user(name) for name in ("dora", "emil", "fay", "gus")]
    models = [make_model(slug) for slug in ("first", "second", "third")]
    queue_some(people, models, dice)
    work(*models)
    told = numbers(look_at_queue(owner_ids=[one.pk for one in people]))
    for one in people:
        mine = numbers(look_at_queue(owner_ids=[one.pk]))
        assert mine.items() <= told.items(), "whoever asks alone is told the same"
    order = []
    while taken := claim_next(models=[model.slug for model in models], worker="worker-1"):
        order.append(taken.image_id)
    assert len(order) > 5
    assert told == {image_id: place for place, image_id in enumerate(order, start=1)}


@pytest.mark.parametrize("seed", range(2))
def test_after_every_claim_everybody_moves_up_by_one(seed: int) -> None:
    people = [make_user(name) for name in ("dora", "emil", "fay")]
    models = [make_model("first"), make_model("second")]
    queue_some(people, models, random.Random(seed))
    work(*models)
    owners = [one.pk for one in people]
    before = numbers(look_at_queue(owner_ids=owners))
    while taken := claim_next(models=["first", "second"], worker="worker-1"):
        assert before.pop(taken.image_id) == 1
        after = numbers(look_at_queue(owner_ids=owners))
        assert after == {key: place - 1 for key, place in before.items() if place}
        before = after
    assert before == {}


def test_a_single_picture_passes_anothers_pile(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, count=10)
    claim(offered_model)
    mine = submit(bob, offered_model).images.get()
    work(offered_model)
    view = look_at_queue(owner_ids=[alice.pk, bob.pk])
    assert view.places[bob.pk][mine.pk].number in {1, 2}
    assert sorted(filter(None, numbers(view).values())) == list(range(1, 11))


def test_nobody_sees_the_places_of_another(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, count=2)
    mine = submit(bob, offered_model).images.get()
    work(offered_model)
    view = look_at_queue(owner_ids=[bob.pk])
    assert list(view.places) == [bob.pk]
    assert view.facts_of(bob.pk, waiting=1)["places"].keys() == {str(mine.pk)}
    assert view.facts_of(alice.pk, waiting=10)["places"] == {}


def test_a_model_that_no_worker_serves_has_no_place(
    alice: User, offered_model: DiffusionModel
) -> None:
    lonely = make_model("lonely")
    served = submit(alice, offered_model).images.get()
    unserved = submit(alice, lonely).images.get()
    work(offered_model)
    mine = look_at_queue(owner_ids=[alice.pk]).places[alice.pk]
    assert mine[served.pk].number == 1
    assert mine[unserved.pk].facts() == {"place": None, "sentence": "place_none", "wait": None}


def test_a_model_of_two_kinds_of_workers_counts_at_the_narrower_line(alice: User) -> None:
    both, special = make_model("both"), make_model("special")
    submit(alice, both, count=3)
    mine = submit(alice, special).images.get()
    work(both, special, name="wide")
    assert look_at_queue(owner_ids=[alice.pk]).places[alice.pk][mine.pk].number == 2
    work(special, name="narrow")
    assert look_at_queue(owner_ids=[alice.pk]).places[alice.pk][mine.pk].number == 1


def test_without_a_worker_nothing_is_promised(alice: User, offered_model: DiffusionModel) -> None:
    submit(alice, offered_model)
    assert look_at_queue(owner_ids=[alice.pk]) == QueueView(0)


def test_where_valkey_is_away_nobody_says_that_the_workers_are(
    alice: User, offered_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def zrange(self, *_arguments: object) -> list[str]:
            raise redis.ConnectionError

    monkeypatch.setattr(heartbeat, "valkey", Away)
    assert look_at_queue(owner_ids=[alice.pk]).workers is None
    assert heartbeat.list_workers() == []


def test_a_worker_that_fell_silent_is_gone(offered_model: DiffusionModel) -> None:
    work(offered_model)
    assert [worker["name"] for worker in heartbeat.list_workers()] == ["worker-1"]
    valkey().delete(f"{heartbeat.PREFIX}worker-1")
    assert heartbeat.hear_workers() == []


def test_what_was_never_measured_has_a_place_and_no_seconds(
    alice: User, offered_model: DiffusionModel
) -> None:
    image = submit(alice, offered_model).images.get()
    work(offered_model)
    place = look_at_queue(owner_ids=[alice.pk]).places[alice.pk][image.pk]
    assert (place.number, place.seconds) == (1, None)


def test_an_unmeasured_picture_ahead_hides_the_seconds_of_those_behind(alice: User) -> None:
    known, unknown = make_model("known"), make_model("unknown")
    measure(alice, known, seconds=4.5)
    first = submit(alice, known).images.get()
    submit(alice, unknown)
    last = submit(alice, known).images.get()
    work(known, unknown)
    assert seconds_of(alice, first.pk) is not None
    taken = claim_next(models=["unknown"], worker="worker-1")
    assert taken
    assert seconds_of(alice, last.pk) is None, "nobody knows how long that one takes"


def test_seconds_count_what_is_ahead_and_the_picture_itself(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    measure(alice, offered_model, seconds=4.5)
    images = list(submit(alice, offered_model, count=3).images.order_by("index"))
    work(offered_model)
    assert [seconds_of(alice, image.pk) for image in images] == [5, 9, 14]


def test_larger_pictures_take_their_share_longer(
    alice: User, offered_model: DiffusionModel
) -> None:
    measure(alice, offered_model, seconds=4.5)
    image = submit(alice, offered_model, width_px=128, height_px=128, steps=8).images.get()
    work(offered_model)
    assert seconds_of(alice, image.pk) == 36


def test_two_workers_halve_what_is_ahead(alice: User, offered_model: DiffusionModel) -> None:
    measure(alice, offered_model, seconds=4.5)
    images = list(submit(alice, offered_model, count=5).images.order_by("index"))
    work(offered_model)
    work(offered_model, name="worker-2")
    assert seconds_of(alice, images[4].pk) == 14


def test_pictures_that_are_drawn_together_take_a_part_of_the_worker_each(
    alice: User, offered_model: DiffusionModel
) -> None:
    for _picture in range(4):
        measure(alice, offered_model, seconds=8, worker="worker-1")
    images = list(submit(alice, offered_model, count=3).images.order_by("index"))
    work(offered_model)
    assert [seconds_of(alice, image.pk) for image in images] == [8, 11, 13]


def test_what_is_being_drawn_counts_with_what_is_left_of_it(
    alice: User, offered_model: DiffusionModel
) -> None:
    measure(alice, offered_model, seconds=10)
    images = list(submit(alice, offered_model, count=2).images.order_by("index"))
    work(offered_model)
    claim(offered_model)
    assert seconds_of(alice, images[1].pk) == 20
    Image.objects.filter(pk=images[0].pk).update(started_at=timezone.now() - timedelta(seconds=5))
    assert seconds_of(alice, images[1].pk) == 15
    Image.objects.filter(pk=images[0].pk).update(started_at=timezone.now() - timedelta(hours=1))
    assert seconds_of(alice, images[1].pk) == 11


def test_the_pace_is_that_of_the_newest_pictures_and_loading_is_not_drawing(
    alice: User, offered_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.generation.queueing.places.NEWEST_OF_A_MODEL", 2)
    measure(alice, offered_model, seconds=900, ago_s=60)
    measure(alice, offered_model, seconds=4, ago_s=30)
    measure(alice, offered_model, seconds=106, load_s=100)
    cost = 64 * 64 * 4
    assert measure_paces() == {"tiny": Pace(worker_s=5 / cost, own_s=5 / cost)}


def test_a_pause_of_the_worker_is_no_work(alice: User, offered_model: DiffusionModel) -> None:
    measure(alice, offered_model, seconds=5, worker="worker-1", ago_s=3600)
    measure(alice, offered_model, seconds=5, worker="worker-1")
    assert measure_paces()["tiny"].worker_s == 5 / (64 * 64 * 4)


def test_old_pictures_of_other_models_do_not_cost_a_search(
    alice: User, offered_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(alice, offered_model, seconds=4.5)
    other = make_model("other")
    measure(alice, other, seconds=4.5)
    monkeypatch.setattr("webapp.generation.queueing.places.NEWEST", 1)
    assert set(measure_paces()) == {"other"}


def test_the_look_asks_two_questions_however_long_the_queue(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    work(offered_model)
    asked = []
    for _round in range(2):
        for owner in (alice, bob):
            submit(owner, offered_model, count=10)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            look_at_queue(owner_ids=[alice.pk, bob.pk])
        asked.append(len(queries))
    assert asked == [2, 2]


@pytest.fixture
def as_alice(client: Client, alice: User, settings: LazySettings) -> Client:
    serve_plain_static(settings)
    client.force_login(alice)
    return client


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows whenever somebody says that the queue moved."""
    heard: list[int] = []
    monkeypatch.setattr(events, "publish_queue_moved", lambda: heard.append(1))
    return heard


def test_whatever_moves_the_queue_says_so(
    alice: User,
    offered_model: DiffusionModel,
    moves: list[int],
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    steps: list[Callable[[], Any]] = [
        lambda: submit(alice, offered_model, count=3),
        lambda: claim(offered_model),
        lambda: services.give_back_image(claim=claim(offered_model)),
        lambda: services.cancel_generation(
            owner=alice, generation_id=Image.objects.all()[0].generation_id
        ),
        lambda: work(offered_model),
    ]
    for number, step in enumerate(steps, start=1):
        with django_capture_on_commit_callbacks(execute=True):
            step()
        assert len(moves) >= number, step
    told = len(moves)
    work(offered_model)
    assert len(moves) == told, "a worker that was there already is no news"


def test_the_state_carries_places_and_workers(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    measure(alice, offered_model, seconds=4.5)
    image = submit(alice, offered_model).images.get()
    assert as_alice.get("/studio/state/").json()["queue"] == {
        "workers": 0,
        "waiting": 1,
        "places": {},
    }
    work(offered_model)
    assert as_alice.get("/studio/state/").json()["queue"] == {
        "workers": 1,
        "waiting": 1,
        "places": {str(image.pk): {"place": 1, "sentence": "place_next", "wait": ["about_s", 5]}},
    }


def test_a_state_without_a_queue_asks_the_database_nothing_about_it(
    as_alice: Client, offered_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "measure_paces", lambda: pytest.fail("nobody waits"))
    work(offered_model)
    told = as_alice.get("/studio/state/").json()["queue"]
    assert told == {"workers": 1, "waiting": 0, "places": {}}
