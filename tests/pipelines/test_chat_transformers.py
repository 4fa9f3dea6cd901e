"""Z-Image, Qwen-Image and FLUX.2 klein, step by step and together, draw diffusers' images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    Flux2KleinPipeline,
    QwenImageImg2ImgPipeline,
    QwenImageInpaintPipeline,
    QwenImagePipeline,
    ZImageImg2ImgPipeline,
    ZImageInpaintPipeline,
    ZImagePipeline,
)
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor

from tests.pipelines.flow_studio import Studio, draw_together, drawn_by
from tests.pipelines.tiny_chat_models import (
    build_tiny_flux2_klein,
    build_tiny_qwen_image,
    build_tiny_z_image,
)
from webapp.catalog.architectures import ARCHITECTURES
from worker.config import EngineConfig
from worker.engine.errors import InvalidRequest
from worker.engine.request import ImageRequest, LoraSource, Mask
from worker.pipelines.inspect import inspect_path
from worker.pipelines.runner import DiffusersRunner

MODELS = ("z_image", "z_image-dynamic", "qwen_image", "flux2_klein", "flux2_klein-distilled")
PIPELINES: dict[tuple[str, str], Any] = {
    ("z_image", "text"): ZImagePipeline,
    ("z_image", "image"): ZImageImg2ImgPipeline,
    ("z_image", "inpaint"): ZImageInpaintPipeline,
    ("z_image", "upscale"): ZImageImg2ImgPipeline,
    ("qwen_image", "text"): QwenImagePipeline,
    ("qwen_image", "image"): QwenImageImg2ImgPipeline,
    ("qwen_image", "inpaint"): QwenImageInpaintPipeline,
    ("qwen_image", "upscale"): QwenImageImg2ImgPipeline,
    ("flux2_klein", "text"): Flux2KleinPipeline,
}
BEGIN_FROM_IMAGES = ("z_image", "z_image-dynamic", "qwen_image")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("chat")
    return {
        "z_image": build_tiny_z_image(root / "z"),
        "z_image-dynamic": build_tiny_z_image(root / "z-dynamic", dynamic_shift=True),
        "qwen_image": build_tiny_qwen_image(root / "qwen"),
        "flux2_klein": build_tiny_flux2_klein(root / "klein"),
        "flux2_klein-distilled": build_tiny_flux2_klein(root / "distilled", is_distilled=True),
    }


@pytest.fixture(scope="module")
def studio(folders: dict[str, Path]) -> Studio:
    return Studio(DiffusersRunner(EngineConfig(device="cpu", resident_models=5)), folders)


def diffusers_draws(request: ImageRequest) -> tuple[bytes, Tensor]:
    """What the family's own pipeline of the mode makes of the same request."""
    family = request.model.family
    pipe = PIPELINES[family, request.mode].from_pretrained(request.model.location)
    for lora in request.loras:
        pipe.load_lora_weights(lora.location, adapter_name=lora.slug)
        pipe.set_adapters([lora.slug], [lora.scale])
    if family == "qwen_image":  # as its makers call it: without words it would not guide
        negative = request.negative_prompt or " "
        guided = {"true_cfg_scale": request.guidance_scale, "negative_prompt": negative}
        return drawn_by(pipe, request, **guided)
    words = {"negative_prompt": request.negative_prompt} if family == "z_image" else {}
    return drawn_by(pipe, request, guidance_scale=request.guidance_scale, **words)


def assert_drawn_as_diffusers_does(studio: Studio, request: ImageRequest) -> None:
    pixels, latents = studio.draw(request)
    expected_pixels, expected_latents = diffusers_draws(request)
    assert torch.equal(latents, expected_latents)
    assert latents.isfinite().all()
    assert pixels == expected_pixels


@pytest.mark.parametrize(
    ("steps", "guidance_scale", "negative"),
    [(4, 5.0, "a dog"), (3, 4.0, ""), (5, 1.0, ""), (2, 0, "")],
)
@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_guidance_draws_exactly_what_diffusers_draws(
    studio: Studio, name: str, steps: int, guidance_scale: float, negative: str
) -> None:
    words = {} if name.startswith("flux2") else {"negative_prompt": negative}
    request = studio.ask(name, steps=steps, guidance_scale=guidance_scale, **words)
    assert_drawn_as_diffusers_does(studio, request)


@pytest.mark.parametrize("strength", [0.35, 1.0])
@pytest.mark.parametrize("mode", ["image", "inpaint", "upscale"])
@pytest.mark.parametrize("name", BEGIN_FROM_IMAGES)
def test_every_mode_draws_exactly_what_diffusers_draws(
    studio: Studio, name: str, mode: str, strength: float
) -> None:
    request = studio.ask(name, mode=mode, strength=strength, steps=5)
    assert_drawn_as_diffusers_does(studio, request)


@pytest.mark.parametrize("size", [(64, 128), (32, 16), (208, 256)])
@pytest.mark.parametrize("name", MODELS)
def test_every_size_draws_exactly_what_diffusers_draws(
    studio: Studio, name: str, size: tuple[int, int]
) -> None:
    request = studio.ask(name, width_px=size[0], height_px=size[1], steps=2)
    assert_drawn_as_diffusers_does(studio, request)


@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        (name, sampler)
        for name in MODELS
        for sampler in ARCHITECTURES[name.partition("-")[0]].samplers
    ],
)
def test_every_sampler_on_offer_draws_exactly_what_diffusers_draws(
    studio: Studio, name: str, sampler: str
) -> None:
    assert_drawn_as_diffusers_does(studio, studio.ask(name, sampler=sampler, steps=6))


@pytest.mark.parametrize(
    "prompt", ["a", "a long sentence of a cat, a hat and the 고양이 (red:1.4) " * 5]
)
@pytest.mark.parametrize("name", MODELS)
def test_prompts_of_any_length_draw_exactly_what_diffusers_draws(
    studio: Studio, name: str, prompt: str
) -> None:
    assert_drawn_as_diffusers_does(studio, studio.ask(name, prompt=prompt, steps=2))


@pytest.mark.parametrize("name", MODELS)
def test_a_mixed_batch_draws_what_each_would_draw_alone(studio: Studio, name: str) -> None:
    requests = [
        studio.ask(name, steps=6, prompt="a dog and a bat"),
        studio.ask(name, steps=3, guidance_scale=3.0, seed=8),
        studio.ask(name, steps=5, prompt="a hat and a cat", seed=9),
    ]
    if name in BEGIN_FROM_IMAGES:
        requests += [
            studio.ask(name, mode="inpaint", steps=7, seed=10),
            studio.ask(name, mode="image", steps=5, guidance_scale=6.0),
        ]
    together = draw_together(studio, requests)
    assert len({one.key for one in together}) == 1
    for request, one in zip(requests, together, strict=True):
        _, alone = studio.draw(request)
        torch.testing.assert_close(one.latents, alone, rtol=0, atol=2e-5 * float(alone.abs().max()))


@pytest.mark.parametrize("name", ["z_image", "qwen_image"])
@pytest.mark.parametrize(
    "changes",
    [{"prompt": "a cat"}, {"negative_prompt": "a dog in the street"}, {"guidance_scale": 0.0}],
)
def test_prompts_of_other_lengths_and_other_guidance_share_no_call(
    studio: Studio, name: str, changes: dict[str, Any]
) -> None:
    assert studio.begin(studio.ask(name)).key != studio.begin(studio.ask(name, **changes)).key


def test_a_folder_says_whether_it_was_distilled(folders: dict[str, Path]) -> None:
    said = {name: inspect_path(folders[name]) for name in MODELS}
    assert all(each.usable for each in said.values())
    assert [each.family for each in said.values()] == [name.partition("-")[0] for name in MODELS]
    distilled = [name for name, each in said.items() if each.found.few_step == "distilled"]
    assert distilled == ["flux2_klein-distilled"]


def test_klein_reads_every_prompt_in_one_window(studio: Studio) -> None:
    short, long = (
        studio.begin(studio.ask("flux2_klein", prompt=prompt)) for prompt in ("a", "a cat" * 20)
    )
    assert short.key == long.key
    assert short.key != studio.begin(studio.ask("flux2_klein", guidance_scale=1.0)).key


@pytest.mark.parametrize("name", MODELS)
def test_images_of_equal_area_and_another_shape_never_share_a_batch(
    studio: Studio, name: str
) -> None:
    wide, tall, again = (
        studio.begin(studio.ask(name, width_px=width_px, height_px=height_px))
        for width_px, height_px in [(128, 64), (64, 128), (128, 64)]
    )
    assert wide.latents.numel() == tall.latents.numel()
    assert wide.key == again.key != tall.key


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("z_image", {"guidance_scale": 6.0}),
        ("z_image", {"negative_prompt": "a house"}),
        ("z_image-dynamic", {"prompt": "a bird"}),
        ("qwen_image", {"guidance_scale": 6.0}),
        ("qwen_image", {"negative_prompt": ""}),
        ("flux2_klein", {"guidance_scale": 6.0}),
        ("flux2_klein-distilled", {"prompt": "a bird"}),
    ],
)
def test_what_is_asked_reaches_the_image(
    studio: Studio, name: str, changes: dict[str, Any]
) -> None:
    request = studio.ask(name)
    assert not torch.equal(studio.draw(request)[1], studio.draw(replace(request, **changes))[1])


@pytest.mark.parametrize("name", BEGIN_FROM_IMAGES)
def test_repainting_keeps_what_the_mask_keeps(studio: Studio, name: str) -> None:
    bare = studio.ask(name, mode="inpaint", strength=1.0)
    assert bare.mask is not None
    nothing = Mask(bytes(len(bare.mask.pixels)), bare.mask.width_px, bare.mask.height_px)
    kept = studio.begin(replace(bare, mask=nothing))
    drawn = studio.begin(bare)
    for one in (kept, drawn):
        while one.done < one.calls:
            assert studio.runner.step([one]) == [None]
    same = (kept.adapter.grid(kept) == drawn.adapter.grid(drawn)).all(dim=0)
    assert same[6:].all()  # below the mask, 8 px per latent
    assert not same[:5, 4:11].any()


@pytest.mark.parametrize("name", ["z_image", "qwen_image", "flux2_klein"])
def test_a_lora_draws_what_diffusers_draws_with_it(
    studio: Studio, tmp_path: Path, name: str
) -> None:
    bare = studio.ask(name)
    ink = LoraSource("ink", str(save_lora(bare, tmp_path / "ink.safetensors")), 0.7)
    inked = replace(bare, loras=(ink,))
    _, latents = studio.draw(bare)
    _, latents_inked = studio.draw(inked)
    _, expected = diffusers_draws(inked)
    assert torch.equal(latents_inked, expected)
    assert not torch.equal(latents_inked, latents)
    assert torch.equal(studio.draw(bare)[1], latents)


def save_lora(request: ImageRequest, path: Path) -> Path:
    """Write a random LoRA of the model's transformer to `path`, as diffusers' trainers do."""
    pipe = PIPELINES[request.model.family, "text"].from_pretrained(request.model.location)
    torch.manual_seed(1)
    layers = ["to_q", "to_k", "to_v", "to_out.0"]
    config = LoraConfig(r=4, lora_alpha=4, target_modules=layers, init_lora_weights=False)
    pipe.transformer.add_adapter(config)
    tensors = get_peft_model_state_dict(pipe.transformer)
    pipe.save_lora_weights(path.parent, transformer_lora_layers=tensors, weight_name=path.name)
    return path


@pytest.mark.parametrize("name", MODELS)
def test_previews_see_the_latents_as_a_grid(studio: Studio, name: str) -> None:
    denoising = studio.begin(studio.ask(name))
    assert denoising.adapter.grid(denoising).shape == (16, 8, 16)
    assert studio.runner.start_preview(denoising)() is not None


@pytest.mark.parametrize(
    ("name", "guidance_scale", "rows"),
    [
        ("z_image", 0.0, 1),
        ("z_image", 0.5, 2),
        ("qwen_image", 1.0, 1),
        ("qwen_image", 4.0, 2),
        ("flux2_klein", 1.0, 1),
        ("flux2_klein", 4.0, 2),
        ("flux2_klein-distilled", 4.0, 1),
    ],
)
def test_rows_are_two_if_a_family_guides(
    studio: Studio, name: str, guidance_scale: float, rows: int
) -> None:
    assert studio.begin(studio.ask(name, guidance_scale=guidance_scale)).rows == rows


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("z_image", {"width_px": 136}, "multiples of 16"),
        ("z_image", {"width_px": 528}, "draws at most 512 pixels a side"),
        ("z_image", {"sampler": "flow_heun"}, "flow_heun does not fit this model"),
        ("z_image", {"prompt": "c" * 600}, "The prompt is too long: it has 600 tokens"),
        ("z_image", {"mode": "image", "strength": 1e-20}, "none of the"),
        ("qwen_image", {"width_px": 136}, "multiples of 16"),
        ("qwen_image", {"sampler": "flow_heun"}, "flow_heun does not fit this model"),
        ("qwen_image", {"negative_prompt": "c" * 600}, "The negative prompt is too long"),
        ("flux2_klein", {"negative_prompt": "a dog"}, "does not take a negative prompt"),
        ("flux2_klein", {"mode": "image"}, "only draws from text"),
        ("flux2_klein", {"prompt": "c" * 600}, "this model takes at most"),
    ],
)
def test_what_the_model_cannot_do_is_refused_with_a_sentence(
    studio: Studio, name: str, changes: dict[str, Any], sentence: str
) -> None:
    request = studio.ask(name, **changes)
    with pytest.raises(InvalidRequest, match=sentence):
        studio.begin(request)
