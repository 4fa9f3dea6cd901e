"""The page of one image: its development, what made it, and what it is related to."""

import uuid
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from tests.pages import serve_plain_static
from tests.people import claim, finish, strip_bytes, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.gallery.image_page import read_lineage
from webapp.generation.models import Generation, Image
from webapp.generation.queueing import services
from webapp.generation.storage import delete_files

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static")]


@pytest.fixture
def plain_static(settings: LazySettings) -> None:
    serve_plain_static(settings)


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def draw(owner: User, model: DiffusionModel, **changes: Any) -> list[Image]:
    made = submit(owner, model, **changes)
    for _image in range(changes.get("count", 1)):
        assert finish(claim(model))
    return list(made.images.order_by("index"))


def page_of(client: Client, image: Image) -> str:
    response = client.get(f"/images/{image.pk}/")
    assert response.status_code == 200
    return response.content.decode()


def test_the_strip_is_private_and_its_frames_are_told_in_words(
    as_alice: Client, alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    (image,) = draw(alice, offered_model)
    response = as_alice.get(f"/images/{image.pk}/strip/")
    assert response.content == strip_bytes()
    assert response["Content-Type"] == "image/webp"
    assert response["Cache-Control"] == "private, no-cache"
    page = page_of(as_alice, image)
    for words in ("Before the first step", "Step 1 of 4", "The finished image", "text encoder"):
        assert words in page
    as_alice.force_login(bob)
    assert as_alice.get(f"/images/{image.pk}/strip/").status_code == 404


def test_a_picture_without_previews_has_no_strip(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    (image,) = draw(alice, offered_model)
    Image.objects.filter(pk=image.pk).update(strip="", strip_steps=[])
    assert as_alice.get(f"/images/{image.pk}/strip/").status_code == 404
    page = page_of(as_alice, image)
    assert "data-strip" not in page
    assert 'src="/static/js/strip.js"' not in page  # named in the import map, not loaded


def test_a_strip_whose_file_is_gone_is_missing_alone(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    (image,) = draw(alice, offered_model)
    delete_files(image.strip)
    assert as_alice.get(f"/images/{image.pk}/strip/").status_code == 404
    page_of(as_alice, image)


def test_the_page_tells_every_parameter(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    (image,) = draw(alice, offered_model)
    Generation.objects.update(exact=True, style="low-poly")
    Image.objects.update(batch={"rows_mean": 5.5, "rows_most": 8})
    page = page_of(as_alice, image)
    for words in (
        "text to image",
        "Low poly",
        "yes, generated alone",
        "5.5 on average, at most 8",
        "DDIM",
    ):
        assert words in page
    for words in (image.sha256, "device", "cpu", ">7<"):
        assert words in page


def test_lineage_is_ones_own_finished_pictures_outside_the_bin(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    (parent,) = draw(alice, offered_model)
    image, sibling, binned = draw(alice, offered_model, count=3)
    (child,) = draw(alice, offered_model)
    (strangers,) = draw(bob, offered_model)
    submit(alice, offered_model)  # still waiting
    Generation.objects.filter(pk=image.generation_id).update(parent=parent)
    Generation.objects.exclude(pk__in=[image.generation_id, parent.generation_id]).update(
        parent=image
    )
    Image.objects.filter(pk=binned.pk).update(binned_at=timezone.now())
    lineage = read_lineage(Image.objects.get(pk=image.pk))
    assert (lineage.parent, lineage.siblings, lineage.children) == (parent, [sibling], [child])
    assert strangers not in lineage.children


def test_a_page_asks_the_database_a_bounded_number_of_times(
    as_alice: Client, alice: User, offered_model: DiffusionModel, django_assert_max_num_queries: Any
) -> None:
    image, *_others = draw(alice, offered_model, count=5)
    with django_assert_max_num_queries(20):
        page_of(as_alice, image)


def test_variations_are_the_same_request_with_new_seeds(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    (image,) = draw(alice, offered_model, prompt="an owl")
    form = {
        "again": image.pk,
        "seed": "random",
        "count": "4",
        "idempotency_key": "one",
        "quoted_each_ucr": "200000",
    }
    assert as_alice.post("/generations/", form).status_code == 302
    made = Generation.objects.get(idempotency_key="one")
    assert (made.prompt, made.steps, made.images.count()) == ("an owl", 4, 4)
    assert made.seed != image.seed


def test_the_same_again_keeps_the_seed(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    _first, second = draw(alice, offered_model, count=2)
    form = {"again": second.pk, "exact": "1", "idempotency_key": "one", "quoted_each_ucr": "200000"}
    assert as_alice.post("/generations/", form).status_code == 302
    made = Generation.objects.get(idempotency_key="one")
    assert [image.seed for image in made.images.all()] == [second.seed]


def test_the_prompt_alone_can_be_used_again(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    (image,) = draw(alice, offered_model, prompt="an owl", seed=424242)
    page = as_alice.get(f"/?from={image.pk}&only=prompt").content.decode()
    assert "an owl</textarea>" in page
    assert 'value="424242"' not in page
    assert 'value="424242"' in as_alice.get(f"/?from={image.pk}").content.decode()


def test_a_failed_image_offers_nothing_that_needs_one(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    claimed = claim(offered_model)
    services.fail_image(
        image_id=claimed.image_id,
        lease_token=claimed.lease_token,
        code="out_of_memory",
        sentence="No room.",
    )
    page = page_of(as_alice, Image.objects.get())
    assert "No room." in page
    for words in ("data-strip", "upscale=", "Generate again", "data-zoom"):
        assert words not in page


def test_an_unknown_picture_is_not_found(as_alice: Client) -> None:
    for name in ("", "strip/"):
        assert as_alice.get(f"/images/{uuid.uuid4()}/{name}").status_code == 404
