"""Submitting: one transaction with quote, rows and holds, or nothing at all."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import connection
from django.test import override_settings

from tests.people import make_spec, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.catalog.selectors import get_offered_model
from webapp.core.errors import Conflict, InvalidInput, NotEnoughCredits, TooMany
from webapp.credits.selectors import get_balance
from webapp.generation.models import Generation, Image, QueueShare
from webapp.generation.queueing import services
from webapp.generation.request.checks import parse_spec
from webapp.operations.audit import find_violations


def test_a_submission_queues_its_images_and_holds_their_price(
    alice: User, offered_model: DiffusionModel
) -> None:
    generation = submit(alice, offered_model, count=4, seed=7)
    images = list(generation.images.order_by("index"))
    assert [image.seed for image in images] == [7, 8, 9, 10]
    assert {image.state for image in images} == {"queued"}
    assert get_balance(user=alice).held_ucr == 800_000
    assert QueueShare.objects.get(owner=alice).queued == 4
    assert not list(find_violations())


def test_the_seeds_of_a_batch_wrap_around_the_largest_seed(
    alice: User, offered_model: DiffusionModel
) -> None:
    generation = submit(alice, offered_model, count=2, seed=2**32 - 1)
    assert list(generation.images.order_by("index").values_list("seed", flat=True)) == [
        2**32 - 1,
        0,
    ]


def test_a_double_click_makes_one_generation(alice: User, offered_model: DiffusionModel) -> None:
    first = submit(alice, offered_model, key="click", seed=None)
    second = submit(alice, offered_model, key="click", seed=None)
    assert first == second
    assert Image.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_double_click_in_the_same_instant_makes_one_generation(
    alice: User, offered_model: DiffusionModel
) -> None:
    def click(_turn: int) -> uuid.UUID:
        try:
            return submit(alice, offered_model, key="click").pk
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(click, range(8)))) == 1
    assert Image.objects.count() == 1
    assert get_balance(user=alice).held_ucr == 200_000


def test_the_same_key_with_another_prompt_is_a_conflict(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, key="click")
    with pytest.raises(Conflict):
        submit(alice, offered_model, key="click", prompt="a cat")
    assert Generation.objects.count() == 1


def test_two_people_may_use_the_same_key(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    assert submit(alice, offered_model, key="click") != submit(bob, offered_model, key="click")


def test_who_cannot_pay_for_all_images_gets_none(
    alice: User, offered_model: DiffusionModel
) -> None:
    with override_settings(PRICE_PER_IMAGE=Decimal(21)), pytest.raises(NotEnoughCredits):
        submit(alice, offered_model, count=10)
    assert not Generation.objects.exists()
    assert not QueueShare.objects.exists()
    assert get_balance(user=alice).held_ucr == 0


def test_one_person_cannot_fill_the_queue(alice: User, offered_model: DiffusionModel) -> None:
    with override_settings(QUEUE_LIMIT_PER_USER=5):
        submit(alice, offered_model, count=5)
        with pytest.raises(TooMany, match="At most 5 images"):
            submit(alice, offered_model)
    assert Image.objects.count() == 5


BAD_FIELDS = [
    ("prompt", "", "Write a prompt"),
    ("prompt", "   \n ", "Write a prompt"),
    ("prompt", "x" * 2001, "2001 characters; at most 2000"),
    ("prompt", "a\x00b", "plain text"),
    ("prompt", ["a"], "plain text"),
    ("negative_prompt", "x" * 2001, "at most 2000"),
    ("width", "65", "multiple of 8 pixels; 65 is not"),
    ("width", "1024", "from 64 to 256; 1024 is not"),
    ("height", "0", "from 64 to 256; 0 is not"),
    ("height", "-64", "from 64 to 256"),
    ("width", "wide", "a whole number from 64 to 256"),
    ("count", "1_0", "a whole number from 1 to 10"),
    ("count", "\u0663", "a whole number from 1 to 10"),
    ("steps", "\uff11\uff12", "a whole number from 1 to 150"),
    ("steps", "\u00a012", "a whole number from 1 to 150"),
    ("seed", "1e3", "a whole number from 0 to"),
    ("guidance_scale", "1_0", "a number from 1 to 30"),
    ("guidance_scale", "1e1", "a number from 1 to 30"),
    ("width", "64.0", "whole number"),
    ("width", "9" * 40, "from 64 to 256"),
    ("steps", "0", "from 1 to 150; 0 is not"),
    ("steps", "10000", "from 1 to 150; 10000 is not"),
    ("steps", "ten", "whole number"),
    ("seed", "-1", "from 0 to 4294967295"),
    ("seed", "4294967296", "from 0 to 4294967295"),
    ("seed", "abc", "whole number"),
    ("count", "0", "from 1 to 10; 0 is not"),
    ("count", "1000", "from 1 to 10; 1000 is not"),
    ("guidance_scale", "0.5", "from 1 to 30"),
    ("guidance_scale", "31", "from 1 to 30"),
    ("guidance_scale", "nan", "a number from 1 to 30"),
    ("guidance_scale", "much", "a number from 1 to 30"),
    ("sampler", "magic", "There is no sampler “magic”"),
    ("sampler", "flow_euler", "There is no sampler “FlowMatch Euler”"),
]


@pytest.mark.parametrize(("field", "value", "words"), BAD_FIELDS)
def test_what_cannot_be_drawn_is_refused_with_a_sentence(
    offered_model: DiffusionModel, field: str, value: object, words: str
) -> None:
    data = {"prompt": "a fox", field: value}
    with pytest.raises(InvalidInput) as refused:
        parse_spec(data, model=offered_model)
    assert words in refused.value.sentence
    assert refused.value.field == field


def test_a_family_that_guides_from_zero_on_can_be_asked_for_none(
    offered_model: DiffusionModel,
) -> None:
    offered_model.family, offered_model.sampler = "z_image", "flow_euler"
    asked = {"prompt": "a fox", "guidance_scale": "0"}
    assert parse_spec(asked, model=offered_model).guidance_scale == 0
    with pytest.raises(InvalidInput, match="Guidance must be from 0 to 30"):
        parse_spec(asked | {"guidance_scale": "-1"}, model=offered_model)


def test_a_size_within_both_sides_may_still_be_too_many_pixels(
    offered_model: DiffusionModel,
) -> None:
    offered_model.max_pixels = 128 * 128
    with pytest.raises(InvalidInput, match="256 × 256 is more than the 16384 pixels"):
        parse_spec({"prompt": "a", "width": 256, "height": 256}, model=offered_model)


def test_fields_left_out_take_the_models_defaults(offered_model: DiffusionModel) -> None:
    spec = parse_spec({"prompt": " a fox "}, model=offered_model)
    assert (spec.prompt, spec.steps, spec.sampler, spec.seed) == ("a fox", 4, "ddim", None)


def test_an_unchecked_spec_is_refused_at_the_door_of_the_service(
    alice: User, offered_model: DiffusionModel
) -> None:
    with pytest.raises(InvalidInput):
        services.submit_generation(
            owner=alice, model=offered_model, spec=make_spec(steps=0), idempotency_key="k"
        )


@pytest.mark.parametrize("key", ["", "k" * 65, "a\nb"])
def test_a_form_without_a_usable_key_is_refused(
    alice: User, offered_model: DiffusionModel, key: str
) -> None:
    with pytest.raises(InvalidInput):
        services.submit_generation(
            owner=alice, model=offered_model, spec=make_spec(), idempotency_key=key
        )


def test_an_unknown_model_is_refused_with_what_is_on_offer(
    alice: User, offered_model: DiffusionModel
) -> None:
    with pytest.raises(InvalidInput, match=r"There is no model “dream”\. On offer: tiny\."):
        get_offered_model(slug="dream", user=alice)


def test_a_model_switched_off_meanwhile_is_refused(
    alice: User, offered_model: DiffusionModel
) -> None:
    DiffusionModel.objects.update(enabled=False)
    with pytest.raises(InvalidInput, match=r"disabled\. On offer: none yet"):
        get_offered_model(slug="tiny", user=alice)


def test_exact_mode_is_on_or_off(alice: User, offered_model: DiffusionModel) -> None:
    assert parse_spec({"prompt": "a fox", "exact": "1"}, model=offered_model).exact
    assert not parse_spec({"prompt": "a fox"}, model=offered_model).exact
    with pytest.raises(InvalidInput, match="either on or off"):
        parse_spec({"prompt": "a fox", "exact": "perhaps"}, model=offered_model)
