"""An image with a LoRA in its prompt, from the request to the file."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image as Picture
from safetensors.torch import save_file

from tests.people import submit
from webapp.accounts.models import User
from webapp.catalog.loras import add_lora
from webapp.catalog.models import DiffusionModel, Lora
from webapp.credits.selectors import get_balance
from webapp.generation.models import Image
from webapp.generation.storage import read_file
from webapp.operations.audit import find_violations
from webapp.operations.model_files import inspect_file
from worker.finishing.parameters import read_parameters
from worker.tasks import Desk

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey_is_empty")]
LAYER = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_q"


@pytest.fixture
def lora(tiny: DiffusionModel, tmp_path: Path) -> Lora:
    """A random LoRA of one layer of the tiny model's U-Net, on offer."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(tiny.path, subfolder="unet")
    rows, columns = unet.get_submodule(LAYER.removeprefix("unet.")).weight.shape
    generator = torch.Generator().manual_seed(1)
    tensors = {
        f"{LAYER}.lora_A.weight": torch.randn(4, columns, generator=generator),
        f"{LAYER}.lora_B.weight": torch.randn(rows, 4, generator=generator),
    }
    path = tmp_path / "Swirl.safetensors"
    save_file(tensors, path, metadata={"ss_base_model_version": "sd_v1", "ss_network_alpha": "4"})
    added = add_lora(path=path, found=inspect_file(path))
    Lora.objects.update(enabled=True)
    return added


def draw(desk: Desk, owner: User, model: DiffusionModel, prompt: str) -> Image:
    asked = submit(owner, model, prompt=prompt, seed=7)
    desk.answer()
    return Image.objects.get(generation=asked)


def pixels_of(image: Image) -> bytes:
    assert image.state == "stored", image.failure
    return Picture.open(io.BytesIO(read_file(image.file))).convert("RGB").tobytes()


def test_an_image_is_drawn_with_the_lora_of_its_prompt_and_says_so(
    alice: User, tiny: DiffusionModel, lora: Lora, desk: Desk
) -> None:
    plain = pixels_of(draw(desk, alice, tiny, "a fox"))
    image = draw(desk, alice, tiny, "a fox <lora:Swirl:0.8>")
    assert pixels_of(image) != plain
    assert pixels_of(draw(desk, alice, tiny, "a fox <lora:swirl:0>")) == plain
    with Picture.open(io.BytesIO(read_file(image.file))) as picture:
        said = read_parameters(picture.info["parameters"])
    assert said.prompt == "a fox <lora:Swirl:0.8>"
    assert said.more["Lora hashes"] == f"swirl: {lora.data_hash[:12]}"


def test_a_lora_whose_file_is_gone_fails_its_image_and_is_no_fault_of_the_model(
    alice: User, tiny: DiffusionModel, lora: Lora, desk: Desk
) -> None:
    before = get_balance(user=alice)
    Path(lora.path).unlink()
    image = draw(desk, alice, tiny, "a fox <lora:swirl>")
    assert (image.state, image.failure_code) == ("failed", "lora_unavailable")
    assert image.failure == "The LoRA swirl is not on this worker."
    tiny.refresh_from_db()
    assert tiny.problem == ""
    assert get_balance(user=alice) == before
    assert not list(find_violations())
