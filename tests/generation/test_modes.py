"""Start image, mask, strength and parent: what may come along, and what it is checked against."""

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from tests.generation.start_images import form, keep, post, stored
from tests.pages import serve_plain_static
from tests.people import claim, make_model, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import InvalidInput
from webapp.credits.selectors import get_balance
from webapp.generation.models import Generation, Upload
from webapp.generation.request import uploads
from webapp.generation.request.checks import parse_spec
from webapp.operations.audit import find_violations

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey_is_empty")]
SOME, OTHER = uuid.uuid4(), uuid.uuid4()


@pytest.fixture(autouse=True)
def _plain_static(settings: LazySettings) -> None:
    serve_plain_static(settings)


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


# What belongs to which mode


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"mode": "paint"}, "mode", "text, image, inpaint, upscale"),
        ({"start": SOME}, "mode", "Choose a mode"),
        ({"mask": SOME}, "mask", "only be used for inpainting"),
        ({"mode": "image"}, "start", "Add a start image"),
        ({"mode": "upscale"}, "start", "Add a start image"),
        ({"mode": "inpaint", "mask": SOME}, "start", "Add a start image"),
        ({"mode": "inpaint", "start": SOME}, "mask", "Paint over"),
        ({"mode": "image", "start": SOME, "mask": OTHER}, "mask", "only be used for inpainting"),
        ({"mode": "image", "start": "7"}, "start", "not the id"),
        ({"mode": "image", "start": SOME, "parent": "7"}, "parent", "not the id"),
        ({"mode": "image", "start": SOME, "strength": "0.04"}, "strength", "from 0.05 to 1"),
        ({"mode": "image", "start": SOME, "strength": "1.01"}, "strength", "from 0.05 to 1"),
        ({"mode": "image", "start": SOME, "strength": "much"}, "strength", "a number"),
        ({"mode": "image", "start": SOME, "strength": "nan"}, "strength", "a number"),
        ({"mode": "image", "start": SOME, "strength": "0.2", "steps": "4"}, "strength", "none of"),
        ({"mode": "image", "start": SOME, "strength": "0.99", "steps": "1"}, "strength", "none of"),
    ],
)
def test_what_does_not_belong_together_is_refused_with_a_sentence(
    offered_model: DiffusionModel, fields: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_spec({"prompt": "a fox", **fields}, model=offered_model)
    assert words in refused.value.sentence
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("mode", "strength"), [("image", 0.6), ("inpaint", 1.0), ("upscale", 0.35)]
)
def test_each_mode_has_a_strength_of_its_own(
    offered_model: DiffusionModel, mode: str, strength: float
) -> None:
    fields: dict[str, Any] = {"prompt": "a fox", "mode": mode, "start": SOME}
    if mode == "inpaint":
        fields["mask"] = OTHER
    assert parse_spec(fields, model=offered_model).strength == strength


def test_from_words_alone_nothing_comes_along(offered_model: DiffusionModel) -> None:
    spec = parse_spec({"prompt": "a fox", "strength": "0.5"}, model=offered_model)
    assert (spec.mode, spec.start_id, spec.strength) == ("text", None, None)


def test_what_comes_along_is_part_of_the_digest(offered_model: DiffusionModel) -> None:
    fields: dict[str, Any] = {"prompt": "a fox", "mode": "image", "start": SOME}
    changes: list[dict[str, Any]] = [
        {},
        {"start": OTHER},
        {"strength": "0.5"},
        {"parent": OTHER},
        {"mode": "inpaint", "mask": OTHER, "strength": "0.6"},
    ]
    specs = [parse_spec({**fields, **change}, model=offered_model) for change in changes]
    assert len({spec.digest(model_slug="tiny") for spec in specs}) == len(changes)


# What is named has to be there, and to be mine


def test_a_request_with_a_start_picture_is_queued_with_all_of_it(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    start, mask = keep(alice), keep(alice, kind="mask")
    parent = stored(alice, offered_model)
    brought = {"mode": "inpaint", "start": start.pk, "mask": mask.pk, "parent": parent.pk}
    sent = form(offered_model, **brought, strength="0.8", count="2")
    assert post(as_alice, sent).status_code == 201
    made = Generation.objects.get(mode="inpaint")
    assert (made.start, made.mask, made.strength, made.parent) == (start, mask, 0.8, parent)
    assert get_balance(user=alice).held_ucr == 400_000
    claimed = claim(offered_model)
    asked = claimed.asked
    assert (asked.mode, claimed.start_file, claimed.mask_file, asked.strength) == (
        "inpaint",
        start.file,
        mask.file,
        0.8,
    )
    assert not list(find_violations())


@pytest.mark.parametrize("field", ["start", "mask", "parent"])
def test_nobody_uses_the_pictures_of_another(
    as_alice: Client, alice: User, bob: User, offered_model: DiffusionModel, field: str
) -> None:
    theirs = {
        "start": keep(bob).pk,
        "mask": keep(bob, kind="mask").pk,
        "parent": stored(bob, offered_model).pk,
    }
    mine = {
        "start": keep(alice).pk,
        "mask": keep(alice, kind="mask").pk,
        "parent": stored(alice, offered_model).pk,
    }
    sent = form(offered_model, mode="inpaint", **{**mine, field: theirs[field]})
    answer = post(as_alice, sent)
    unknown = post(as_alice, {**sent, field: uuid.uuid4()})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)
    assert answer.json() == unknown.json()
    assert not Generation.objects.filter(mode="inpaint").exists()
    assert get_balance(user=alice).held_ucr == 0


def test_a_mask_is_no_start_picture_and_has_its_size(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    start, mask = keep(alice), keep(alice, kind="mask")
    wide = keep(alice, kind="mask", size=(128, 64))
    for start_id, mask_id, field, words in (
        (mask.pk, mask.pk, "start", "That is a mask"),
        (start.pk, start.pk, "mask", "not a mask"),
        (start.pk, wide.pk, "mask", "64 × 64"),
    ):
        sent = form(offered_model, mode="inpaint", start=start_id, mask=mask_id)
        error = post(as_alice, sent).json()["error"]
        assert error["field"] == field
        assert words in error["message"]
    assert not Generation.objects.exists()


def test_a_plain_form_comes_back_with_the_sentence(
    as_alice: Client, offered_model: DiffusionModel
) -> None:
    answer = as_alice.post("/generations/", form(offered_model, mode="image"))
    assert answer.status_code == 400
    assert "Add a start image." in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_the_sweeper_passes_over_what_a_request_is_just_naming(
    alice: User, offered_model: DiffusionModel
) -> None:
    """The request has checked its start image and is not committed yet."""
    start = keep(alice)
    Upload.objects.update(created_at=timezone.now() - timedelta(days=2))
    with transaction.atomic():
        submit(alice, offered_model, mode="image", start_id=start.pk, strength=0.5)
        assert elsewhere(uploads.delete_unused_uploads) == 0
    assert uploads.delete_unused_uploads() == 0
    assert Generation.objects.get().start == start


@pytest.mark.django_db(transaction=True)
def test_a_request_that_names_what_is_just_swept_is_refused_with_a_sentence(
    alice: User, offered_model: DiffusionModel
) -> None:
    """It waits for the sweeper, and then there is nothing left to start from."""
    start = keep(alice)
    Upload.objects.update(created_at=timezone.now() - timedelta(days=2))
    asked: dict[str, Any] = {"mode": "image", "start_id": start.pk, "strength": 0.5}
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert uploads.delete_unused(Upload.objects.all()) == 1
            request = pool.submit(in_a_thread, lambda: submit(alice, offered_model, **asked))
            time.sleep(0.3)
            assert not request.done()
        with pytest.raises(InvalidInput, match="no longer exists"):
            request.result()
    assert get_balance(user=alice).held_ucr == 0


def elsewhere(action: Callable[[], Any]) -> Any:
    """What the action answers on a connection of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(in_a_thread, action).result()


def in_a_thread(action: Callable[[], Any]) -> Any:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")  # who should not wait fails
        return action()
    finally:
        connection.close()


# Again


def test_again_repeats_what_came_along(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    start, mask = keep(alice), keep(alice, kind="mask")
    parent = stored(alice, offered_model)
    brought: dict[str, Any] = {"mode": "inpaint", "start_id": start.pk, "mask_id": mask.pk}
    brought["strength"] = 0.7
    image = stored(alice, offered_model, **brought, parent_id=parent.pk, style="anime")
    sent = {
        "again": image.pk,
        "seed": "random",
        "count": "2",
        "idempotency_key": "one",
        "quoted_each_ucr": "200000",
    }
    assert post(as_alice, sent).status_code == 201
    made = Generation.objects.get(idempotency_key="one")
    assert (made.mode, made.start, made.mask, made.strength) == ("inpaint", start, mask, 0.7)
    assert (made.parent, made.style) == (parent, "anime")


def test_using_an_image_again_fills_in_what_came_along(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    start = keep(alice)
    image = stored(alice, offered_model, mode="image", start_id=start.pk, strength=0.7)
    page = as_alice.get(f"/?from={image.pk}")
    values = page.context["composer"].values
    assert (values["mode"], values["start"], values["strength"]) == ("image", str(start.pk), "0.7")


# Starting from one's own image


@pytest.mark.parametrize(("field", "edits"), [("start", False), ("edit", True)])
def test_the_studio_begins_with_an_image_its_words_and_another_seed(
    as_alice: Client, alice: User, offered_model: DiffusionModel, field: str, edits: bool
) -> None:
    image = stored(alice, offered_model, prompt="an owl", steps=3, seed=424242)
    page = as_alice.get(f"/?{field}={image.pk}")
    values, html = page.context["composer"].values, page.content.decode()
    assert (values["prompt"], values["steps"], values["seed"]) == ("an owl", "3", "")
    assert f'data-start-image="{image.pk}"' in html
    assert ("data-start-edit" in html) == edits


def test_nobody_begins_with_the_image_of_another(
    as_alice: Client, bob: User, offered_model: DiffusionModel
) -> None:
    image = stored(bob, offered_model)
    assert as_alice.get(f"/?start={image.pk}").status_code == 404
    assert as_alice.get("/?edit=7").status_code == 400


def test_an_image_of_a_model_that_draws_from_words_alone_begins_with_the_first_that_takes_one(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    whole = make_model("whole", family="other", sampler="own", steps=9)
    image = stored(alice, whole, prompt="an owl", sampler="own", steps=8)
    composer = as_alice.get(f"/?start={image.pk}").context["composer"]
    assert composer.model == offered_model
    assert (composer.values["prompt"], composer.values["steps"]) == ("an owl", "4")
    assert composer.values["sampler"] == offered_model.sampler
    DiffusionModel.objects.filter(pk=offered_model.pk).update(enabled=False)
    page = as_alice.get(f"/?start={image.pk}")
    assert page.context["composer"].model == whole
    assert "None of the models on offer takes a start image." in page.content.decode()


# The image's page


def test_the_images_page_offers_what_can_be_made_of_it(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = stored(alice, offered_model)
    page = as_alice.get(f"/images/{image.pk}/").content.decode()
    for words in (f"?start={image.pk}", f"?edit={image.pk}", "upscale/", "128 × 128", "0.20"):
        assert words in page
    small = make_model("small", max_side_px=64, max_pixels=64 * 64)
    page = as_alice.get(f"/images/{stored(alice, small).pk}/").content.decode()
    assert "It can&#x27;t be upscaled." in page or "It can't be upscaled." in page
    assert "upscale/" not in page


def test_the_images_page_tells_what_it_was_made_from_and_what_came_of_it(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    parent = stored(alice, offered_model)
    start, mask = keep(alice), keep(alice, kind="mask")
    brought = {"mode": "inpaint", "start_id": start.pk, "mask_id": mask.pk, "strength": 0.7}
    child = stored(alice, offered_model, **brought, parent_id=parent.pk)
    page = as_alice.get(f"/images/{child.pk}/").content.decode()
    for words in ("Made from, inpainting", "0.70", f"/uploads/{start.pk}/", f"/uploads/{mask.pk}/"):
        assert words in page
    page = as_alice.get(f"/images/{parent.pk}/").content.decode()
    assert "Made from this one" in page
    assert "<small>inpainting</small>" in page
