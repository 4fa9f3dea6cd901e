"""Valkey hangs: images are still asked for, cancelled and looked at, and people sign in."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import LazySettings
from django.test import Client

from tests.faults.hanging_proxy import HangingProxy
from tests.pages import serve_plain_static
from tests.people import PASSWORD, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core import herald
from webapp.core.valkey import TIMEOUT_S
from webapp.generation.models import Image

pytest_plugins = ["tests.core.hanging"]
pytestmark = pytest.mark.django_db(transaction=True)

PAGE_S = 1.0
JSON = {"Accept": "application/json"}


@pytest.fixture
def as_alice(settings: LazySettings, client: Client, alice: User) -> Client:
    serve_plain_static(settings)
    client.force_login(alice)
    client.get("/")  # templates are read once
    return client


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails the test if the block takes longer."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def ask(client: Client, model: DiffusionModel) -> int:
    fields = {
        "model": model.slug,
        "prompt": "a fox",
        "idempotency_key": uuid.uuid4().hex,
        "quoted_each_ucr": "200000",
    }
    return client.post("/generations/", {**fields, "count": "1"}, headers=JSON).status_code


def test_images_are_asked_for_without_waiting(
    as_alice: Client, offered_model: DiffusionModel, hanging_valkey: HangingProxy
) -> None:
    hanging_valkey.hang()
    with within(PAGE_S):
        assert ask(as_alice, offered_model) == 201
    for _turn in range(5):
        with within(PAGE_S):
            assert ask(as_alice, offered_model) == 201
    assert Image.objects.count() == 6


def test_an_image_is_cancelled_without_waiting(
    as_alice: Client, alice: User, offered_model: DiffusionModel, hanging_valkey: HangingProxy
) -> None:
    image = submit(alice, offered_model).images.get()
    assert herald.flush()
    hanging_valkey.hang()
    with within(PAGE_S):
        assert as_alice.post(f"/images/{image.pk}/cancellation/").status_code == 302
    image.refresh_from_db()
    assert image.state == Image.State.CANCELLED


def test_pages_wait_once_and_then_are_served_without(
    as_alice: Client, offered_model: DiffusionModel, hanging_valkey: HangingProxy
) -> None:
    hanging_valkey.hang()
    with within(TIMEOUT_S + PAGE_S):
        assert as_alice.get("/").status_code == 200
    for path in ("/", "/studio/state/", "/gallery/", "/healthz/"):
        with within(PAGE_S):
            assert as_alice.get(path).status_code == 200
    with within(PAGE_S):
        assert as_alice.get("/readyz/").json()["broker"] == "away"


def test_people_sign_in_and_are_limited_meanwhile(
    as_alice: Client, alice: User, hanging_valkey: HangingProxy
) -> None:
    hanging_valkey.hang()
    stranger = Client(REMOTE_ADDR="192.0.2.7")
    fields = {"login": alice.email, "password": PASSWORD}
    with within(TIMEOUT_S + PAGE_S):
        answer = stranger.post("/accounts/login/", fields)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    guesser = Client(REMOTE_ADDR="192.0.2.8")
    wrong = {"login": "nobody@example.org", "password": "a wrong one"}
    answers = [guesser.post("/accounts/login/", wrong) for _turn in range(12)]
    assert answers[0].status_code == 200
    assert any("too often" in str(one.content) or "Too many" in str(one.content) for one in answers)
