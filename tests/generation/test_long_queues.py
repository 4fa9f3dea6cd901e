"""However many images wait, a page is told of a bounded number of them, and how many there are."""

import random

import pytest
from django.conf import LazySettings
from django.test import Client

from tests.generation.test_queue_places import numbers, queue_some, work
from tests.pages import serve_plain_static
from tests.people import claim, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.live.feed import GROUPS_SHOWN, MOST_TOLD
from webapp.generation.models import Image, QueueShare
from webapp.generation.queueing import places
from webapp.generation.queueing.places import count_waiting, look_at_queue

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey_is_empty")]


@pytest.fixture
def as_alice(client: Client, alice: User, settings: LazySettings) -> Client:
    serve_plain_static(settings)
    client.force_login(alice)
    return client


@pytest.mark.parametrize("seed", range(6))
def test_the_first_places_are_told_rightly_however_few_images_are_looked_at(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    people = [make_user(name) for name in ("dora", "emil", "fay", "gus")]
    models = [make_model(slug) for slug in ("first", "second", "third")]
    queue_some(people, models, dice)
    work(*models)
    owners = [one.pk for one in people]
    right = look_at_queue(owner_ids=owners)
    monkeypatch.setattr(places, "PLACES_TOLD", 3)
    monkeypatch.setattr(places, "READ_IN_ALL", dice.randint(10, 60))
    told = look_at_queue(owner_ids=owners)
    assert numbers(told).items() <= numbers(right).items()
    assert 1 in numbers(told).values()
    for mine in told.places.values():
        assert len(mine) <= 3
        assert sorted(mine.values(), key=lambda one: one.number or 0) == list(mine.values())


def test_an_owner_with_more_waiting_than_is_told_is_told_the_first_of_them(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    for _request in range(16):
        submit(alice, offered_model, count=10)
    submit(bob, offered_model, count=10)
    work(offered_model)
    view = look_at_queue(owner_ids=[alice.pk])
    first = Image.objects.filter(owner=alice).order_by("created_at", "index")[: places.PLACES_TOLD]
    assert list(view.places[alice.pk]) == [image.pk for image in first]
    assert count_waiting(owner_ids=[alice.pk, bob.pk]) == {alice.pk: 160, bob.pk: 10}


def test_a_models_images_without_a_worker_are_told_up_to_as_many(
    alice: User, offered_model: DiffusionModel
) -> None:
    lonely = make_model("lonely")
    for _request in range(12):
        submit(alice, lonely, count=10)
    mine = submit(alice, offered_model).images.get()
    work(offered_model)
    told = look_at_queue(owner_ids=[alice.pk]).places[alice.pk]
    assert len(told) == places.PLACES_TOLD
    assert next(iter(told)) == mine.pk


def test_a_state_stays_small_however_many_wait(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    for _request in range(15):
        made = submit(alice, offered_model, count=10)
    first = made.images.get(index=0)
    Image.objects.bulk_create(
        Image(generation=made, owner=alice, model=offered_model, index=index, seed=1, cost=9)
        for index in range(10, 3010)
    )
    QueueShare.objects.update(queued=3150)
    work(offered_model)
    ids = Image.objects.order_by("-created_at", "-index").values_list("pk", flat=True)[:200]
    answer = as_alice.get("/studio/state/", {"ids": ",".join(map(str, ids))})
    state = answer.json()
    assert len(answer.content) <= 50_000
    assert state["queue"]["waiting"] == 3150
    assert len(state["queue"]["places"]) == places.PLACES_TOLD
    assert {str(one) for one in ids} <= {facts["id"] for facts in state["images"]}
    assert len(state["images"]) <= 200 + MOST_TOLD
    assert str(first.generation_id) in {facts["generation"] for facts in state["images"]}


def test_a_state_names_what_runs_and_what_is_new_without_being_asked(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    old = submit(alice, offered_model)
    running = claim(offered_model)
    for _request in range(GROUPS_SHOWN):
        new = submit(alice, offered_model)
    told = {facts["generation"] for facts in as_alice.get("/studio/state/").json()["images"]}
    assert str(running.generation_id) == str(old.pk)
    assert {str(old.pk), str(new.pk)} <= told
