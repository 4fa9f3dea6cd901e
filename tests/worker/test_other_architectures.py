"""Models that no adapter knows, from `manage.py models add` to the gallery."""

import io
import json
import re
import uuid
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse
from PIL import Image as Picture

from tests.catalog.conftest import manage_models as manage_models
from tests.pages import serve_plain_static
from tests.people import submit
from tests.pipelines.tiny_others import build_tiny_lumina2, build_tiny_sana
from tests.pipelines.tiny_transformers import build_tiny_pixart
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import InvalidInput
from webapp.generation.storage import read_file
from webapp.generation.studio.submitting import enlarge_image
from webapp.operations.audit import find_violations
from worker.finishing.parameters import read_parameters
from worker.tasks import Desk

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("valkey_is_empty"),
    # diffusers hands NumPy 2 a tensor that knows no `copy` keyword; the runner accepts it, too.
    pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"),
]
Manage = Callable[..., str]
BUILDERS: dict[str, Callable[[Path], Path]] = {
    "pixart": build_tiny_pixart,
    "sana": build_tiny_sana,
    "lumina2": build_tiny_lumina2,
}
ASKED: dict[str, Any] = {
    "width_px": 128,
    "height_px": 64,
    "steps": 3,
    "guidance_scale": 4.0,
    "seed": 7,
    "sampler": "own",
}


@pytest.fixture
def as_alice(client: Client, alice: User, settings: LazySettings) -> Client:
    serve_plain_static(settings)
    client.force_login(alice)
    return client


def added(manage_models: Manage, name: str, root: Path) -> DiffusionModel:
    """The model, as the command made its row."""
    folder = BUILDERS[name](root / name)
    assert f"Added {name} (Other architecture)." in manage_models("add", folder, "--enable")
    return DiffusionModel.objects.get()


def diffusers_pixels(folder: str, prompt: str, negative_prompt: str) -> bytes:
    pipe = DiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    is_binned = "use_resolution_binning" in signature(pipe.__call__).parameters
    # Else it draws the nearest of its own sizes, and scales that.
    options = {"use_resolution_binning": False} if is_binned else {}
    picture = pipe(
        prompt,
        negative_prompt=negative_prompt,
        width=ASKED["width_px"],
        height=ASKED["height_px"],
        num_inference_steps=ASKED["steps"],
        guidance_scale=ASKED["guidance_scale"],
        generator=torch.Generator("cpu").manual_seed(ASKED["seed"]),
        **options,
    ).images[0]
    return bytes(picture.tobytes())


@pytest.mark.parametrize(
    ("name", "side_px", "grid_px", "steps", "guidance_scale"),
    [("pixart", 256, 16, 20, 4.5), ("sana", 1024, 8, 20, 4.5), ("lumina2", 128, 16, 30, 4.0)],
)
def test_a_model_that_no_adapter_knows_goes_from_its_folder_to_the_gallery(
    manage_models: Manage,
    alice: User,
    as_alice: Client,
    desk: Desk,
    tmp_path: Path,
    name: str,
    side_px: int,
    grid_px: int,
    steps: int,
    guidance_scale: float,
) -> None:
    model = added(manage_models, name, tmp_path)
    said = (model.width_px, model.side_multiple_px, model.steps, model.guidance_scale)
    assert said == (side_px, grid_px, steps, guidance_scale)
    assert model.samplers == [("own", "Model default")]
    made = submit(alice, model, **ASKED)
    desk.answer()
    image = made.images.get()
    assert image.state == "stored", image.failure
    drawn = Picture.open(io.BytesIO(read_file(image.file)))
    assert drawn.tobytes() == diffusers_pixels(model.path, made.prompt, made.negative_prompt)
    assert read_parameters(drawn.info["parameters"]).sampler == "Model default"
    page = as_alice.get(reverse("image", args=[image.pk])).content.decode()
    assert "Model default" in page
    assert str(image.pk) in as_alice.get(reverse("gallery")).content.decode()
    assert not list(find_violations())


def test_start_images_masks_and_enlargements_are_refused_with_a_sentence(
    manage_models: Manage, alice: User, desk: Desk, tmp_path: Path
) -> None:
    model = added(manage_models, "lumina2", tmp_path)
    sentence = "lumina2 generates from text only: it takes no start image and no mask."
    brought = {"start_id": uuid.uuid4(), "strength": 0.5}
    for changes in (
        brought | {"mode": "image"},
        brought | {"mode": "inpaint", "mask_id": uuid.uuid4()},
        brought | {"mode": "upscale"},
    ):
        with pytest.raises(InvalidInput, match=sentence) as refused:
            submit(alice, model, **(ASKED | changes))
        assert refused.value.field == "start"
    made = submit(alice, model, **ASKED)
    desk.answer()
    with pytest.raises(InvalidInput, match=sentence):
        enlarge_image(owner=alice, image=made.images.get(), idempotency_key="one")


def test_another_sampler_than_the_models_own_is_refused(
    manage_models: Manage, alice: User, tmp_path: Path
) -> None:
    model = added(manage_models, "lumina2", tmp_path)
    offered = re.escape("no sampler “Euler” for lumina2. On offer: Model default")
    with pytest.raises(InvalidInput, match=offered):
        submit(alice, model, **(ASKED | {"sampler": "euler"}))


def test_a_scan_finds_such_models_and_names_what_makes_no_images_of_text(
    manage_models: Manage, tmp_path: Path
) -> None:
    root = tmp_path / "models"
    build_tiny_sana(root / "sana")
    (root / "video").mkdir()
    (root / "video" / "model_index.json").write_text(json.dumps({"_class_name": "WanPipeline"}))
    said = manage_models("scan")
    assert "added sana from" in said
    assert "WanPipeline does not make images from text alone." in said
    assert [model.family for model in DiffusionModel.objects.all()] == ["other"]
