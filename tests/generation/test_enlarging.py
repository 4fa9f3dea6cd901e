"""An image at twice its size: what is asked for, and what cannot be."""

import pytest
from django.conf import LazySettings
from django.test import Client

from tests.generation.start_images import JSON, form, keep, post, stored
from tests.pages import serve_plain_static
from tests.people import make_model
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import InvalidInput
from webapp.credits.selectors import get_balance
from webapp.generation.models import Generation, Upload
from webapp.generation.request.checks import enlarged_size

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey_is_empty")]


@pytest.fixture(autouse=True)
def _plain_static(settings: LazySettings) -> None:
    serve_plain_static(settings)


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.mark.parametrize(
    ("size", "expected"), [((64, 64), (128, 128)), ((100, 61), (200, 120)), ((128, 32), (256, 64))]
)
def test_twice_the_size_lies_on_the_models_grid(
    offered_model: DiffusionModel, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert enlarged_size(offered_model, width_px=size[0], height_px=size[1]) == expected


@pytest.mark.parametrize("size", [(140, 64), (20, 64), (2048, 2048)])
def test_a_size_that_the_model_cannot_draw_is_named(
    offered_model: DiffusionModel, size: tuple[int, int]
) -> None:
    with pytest.raises(InvalidInput, match="Twice the size is") as refused:
        enlarged_size(offered_model, width_px=size[0], height_px=size[1])
    assert "sides from 64 to 256 and at most 65536 pixels" in refused.value.sentence


def test_an_image_is_enlarged_with_everything_that_made_it(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = stored(alice, offered_model, prompt="an owl", steps=4, seed=9, style="anime")
    url = f"/images/{image.pk}/upscale/"
    answer = as_alice.post(
        url, {"idempotency_key": "one", "quoted_each_ucr": "200000"}, headers=JSON
    )
    assert answer.status_code == 201
    made = Generation.objects.get(mode="upscale")
    assert (made.width_px, made.height_px, made.strength) == (128, 128, 0.35)
    assert (made.prompt, made.steps, made.seed, made.style) == ("an owl", 4, 9, "anime")
    assert (made.parent, made.images.count()) == (image, 1)
    assert answer.json()["generation"] == str(made.pk)
    again = as_alice.post(url, {"idempotency_key": "one", "quoted_each_ucr": "200000"})
    assert (again.status_code, again["Location"]) == (302, "/")
    assert Generation.objects.filter(mode="upscale").count() == 1
    assert Upload.objects.count() == 1


def test_what_cannot_be_enlarged_says_why_and_costs_nothing(as_alice: Client, alice: User) -> None:
    small = make_model("small", max_side_px=64, max_pixels=64 * 64)
    image = stored(alice, small)
    url, key = (
        f"/images/{image.pk}/upscale/",
        {"idempotency_key": "one", "quoted_each_ucr": "200000"},
    )
    assert (
        "Twice the size is 128 × 128"
        in as_alice.post(url, key, headers=JSON).json()["error"]["message"]
    )
    page = as_alice.post(url, key)
    assert page.status_code == 400
    assert "Twice the size is 128 × 128" in page.content.decode()
    assert not Upload.objects.exists()
    assert get_balance(user=alice).held_ucr == 0


def test_a_price_that_changed_since_it_was_shown_queues_no_enlargement(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = stored(alice, offered_model)
    sent = {"idempotency_key": "one", "quoted_each_ucr": "100000"}
    answer = as_alice.post(f"/images/{image.pk}/upscale/", sent, headers=JSON)
    assert answer.status_code == 409
    assert not Generation.objects.filter(mode="upscale").exists()


def test_an_enlargement_takes_its_size_from_the_start_and_its_words_from_the_parent(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = stored(alice, offered_model, prompt="an owl")
    start = keep(alice)
    brought = {"mode": "upscale", "start": start.pk, "parent": image.pk}
    assert post(as_alice, form(offered_model, **brought, prompt="")).status_code == 201
    made = Generation.objects.get(mode="upscale")
    assert (made.width_px, made.height_px, made.prompt) == (128, 128, "an owl")


def test_an_enlargement_of_another_size_is_refused(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    sent = form(offered_model, mode="upscale", start=keep(alice).pk, width="256", height="256")
    error = post(as_alice, sent).json()["error"]
    assert error["field"] == "width"
    assert "128 × 128" in error["message"]
