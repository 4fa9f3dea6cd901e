"""SD3 and Flux, step by step and together, draw diffusers' images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    FluxImg2ImgPipeline,
    FluxInpaintPipeline,
    FluxPipeline,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusion3InpaintPipeline,
    StableDiffusion3Pipeline,
)
from PIL import Image
from torch import Tensor

from tests.pipelines.flow_studio import Studio, draw_together, drawn_by
from tests.pipelines.tiny_transformers import build_tiny_flux, build_tiny_sd3
from worker.config import EngineConfig
from worker.engine.errors import InvalidRequest
from worker.engine.request import ImageRequest, Mask, ModelSource
from worker.pipelines.denoising import step
from worker.pipelines.loader import LoadedModel
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.samplers import FLOW_SAMPLERS
from worker.pipelines.stable_diffusion_3 import StableDiffusion3

MODELS = ("sd3", "sd3-dynamic", "flux-dev", "flux-schnell")
MODES = ("text", "image", "inpaint", "upscale")
PIPELINES: dict[tuple[str, str], Any] = {
    ("sd3", "text"): StableDiffusion3Pipeline,
    ("sd3", "image"): StableDiffusion3Img2ImgPipeline,
    ("sd3", "inpaint"): StableDiffusion3InpaintPipeline,
    ("sd3", "upscale"): StableDiffusion3Img2ImgPipeline,
    ("flux", "text"): FluxPipeline,
    ("flux", "image"): FluxImg2ImgPipeline,
    ("flux", "inpaint"): FluxInpaintPipeline,
    ("flux", "upscale"): FluxImg2ImgPipeline,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("transformers")
    return {
        "sd3": build_tiny_sd3(root / "sd3"),
        "sd3-dynamic": build_tiny_sd3(root / "sd3-dynamic", dynamic_shift=True),
        "flux-dev": build_tiny_flux(root / "flux-dev"),
        "flux-schnell": build_tiny_flux(root / "flux-schnell", dynamic_shift=False, guided=False),
    }


@pytest.fixture(scope="module")
def studio(folders: dict[str, Path]) -> Studio:
    return Studio(DiffusersRunner(EngineConfig(device="cpu", resident_models=4)), folders)


def diffusers_draws(request: ImageRequest, **components: Any) -> tuple[bytes, Tensor]:
    """What the family's own pipeline of the mode makes of the same request.

    But for the pixels of Stable Diffusion 3's inpainting: diffusers encodes the start image with
    the VAE's shift and decodes without it, so that every colour moves, and what is kept, too. They
    are what text to image decodes of the same latents, with the start image's own where the mask
    keeps them.
    """
    pipeline_class = PIPELINES[request.model.family, request.mode]
    pipe = pipeline_class.from_pretrained(request.model.location, **components)
    arguments: dict[str, Any] = {"guidance_scale": request.guidance_scale}
    if request.negative_prompt:
        arguments["negative_prompt"] = request.negative_prompt
    pixels, latents = drawn_by(pipe, request, **arguments)
    if request.model.family == "sd3" and request.mask is not None:
        pixels = rightly_decoded(pipe, request, latents)
    return pixels, latents


@torch.no_grad()
def rightly_decoded(pipe: Any, request: ImageRequest, latents: Tensor) -> bytes:
    size = (request.width_px, request.height_px)
    assert request.start is not None
    assert request.mask is not None
    unscaled = latents / pipe.vae.config.scaling_factor + pipe.vae.config.shift_factor
    decoded = pipe.vae.decode(unscaled, return_dict=False)[0]
    picture: Image.Image = pipe.image_processor.postprocess(decoded)[0]
    start = Image.frombytes("RGB", size, request.start.pixels)
    mask = Image.frombytes("L", size, request.mask.pixels)
    return Image.composite(picture, start, mask).tobytes()


def assert_drawn_as_diffusers_does(studio: Studio, request: ImageRequest) -> None:
    pixels, latents = studio.draw(request)
    expected_pixels, expected_latents = diffusers_draws(request)
    assert torch.equal(latents, expected_latents)
    assert pixels == expected_pixels


@pytest.mark.parametrize(("steps", "guidance_scale"), [(4, 5.0), (7, 1.0)])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MODELS)
def test_every_mode_draws_exactly_what_diffusers_draws(
    studio: Studio, name: str, mode: str, steps: int, guidance_scale: float
) -> None:
    request = studio.ask(name, mode=mode, steps=steps, guidance_scale=guidance_scale)
    assert_drawn_as_diffusers_does(studio, request)


@pytest.mark.parametrize("strength", [0.1, 0.35, 1.0])
@pytest.mark.parametrize("mode", ["image", "inpaint"])
@pytest.mark.parametrize("name", ["sd3", "flux-dev"])
def test_every_strength_draws_exactly_what_diffusers_draws(
    studio: Studio, name: str, mode: str, strength: float
) -> None:
    request = studio.ask(name, mode=mode, strength=strength, steps=6)
    assert_drawn_as_diffusers_does(studio, request)


@pytest.mark.parametrize("size", [(64, 128), (32, 16), (208, 256)])
@pytest.mark.parametrize("name", ["sd3-dynamic", "flux-dev"])
def test_every_size_draws_exactly_what_diffusers_draws(
    studio: Studio, name: str, size: tuple[int, int]
) -> None:
    request = studio.ask(name, width_px=size[0], height_px=size[1], steps=2)
    assert_drawn_as_diffusers_does(studio, request)


def fits(name: str, sampler: str) -> bool:
    """FlowMatch Heun takes neither Flux's own sigmas nor a shift that depends on the size."""
    return sampler != "flow_heun" or name == "sd3"


@pytest.mark.parametrize(
    ("name", "sampler"),
    [(name, sampler) for name in MODELS for sampler in FLOW_SAMPLERS if fits(name, sampler)],
)
def test_every_sampler_that_fits_draws_exactly_what_diffusers_draws(
    studio: Studio, name: str, sampler: str
) -> None:
    assert_drawn_as_diffusers_does(studio, studio.ask(name, sampler=sampler))


@pytest.mark.parametrize("mode", ["image", "inpaint"])
def test_heun_begins_from_a_picture_as_diffusers_does(studio: Studio, mode: str) -> None:
    assert_drawn_as_diffusers_does(studio, studio.ask("sd3", mode=mode, sampler="flow_heun"))


@pytest.mark.parametrize("guidance_scale", [1.0, 5.0])
def test_sd3_without_its_third_encoder_draws_exactly_what_diffusers_draws(
    studio: Studio, tmp_path: Path, guidance_scale: float
) -> None:
    folder = build_tiny_sd3(tmp_path / "no-t5", with_t5=False)
    absent = {"text_encoder_3": None, "tokenizer_3": None}
    pipe = StableDiffusion3Pipeline.from_pretrained(folder, **absent)
    model = ModelSource("no-t5", "sd3", "folder", str(folder))
    loaded = LoadedModel(model, pipe, pipe.scheduler, torch.device("cpu"), torch.float32)
    request = studio.ask("sd3", model=model, guidance_scale=guidance_scale)
    denoising = StableDiffusion3().begin(loaded, request)
    while denoising.done < denoising.calls:
        assert step([denoising]) == [None]
    _, expected = diffusers_draws(request, **absent)
    assert torch.equal(denoising.latents, expected)


@pytest.mark.parametrize("name", ["sd3", "flux-dev"])
def test_a_mixed_batch_draws_what_each_would_draw_alone(studio: Studio, name: str) -> None:
    requests = [
        studio.ask(name, steps=6, prompt="a house"),
        studio.ask(name, steps=3, guidance_scale=1.0, seed=8),
        studio.ask(name, mode="inpaint", steps=7, seed=9),
        studio.ask(name, mode="image", steps=5, guidance_scale=3.0),
        studio.ask(name, mode="upscale", steps=5, strength=0.9),
    ]
    together = draw_together(studio, requests)
    assert len({one.key for one in together}) == 1
    for request, one in zip(requests, together, strict=True):
        _, alone = studio.draw(request)
        torch.testing.assert_close(one.latents, alone, rtol=0, atol=1e-5 * float(alone.abs().max()))


@pytest.mark.parametrize("name", ["sd3", "flux-dev"])
def test_a_picture_does_not_depend_on_who_its_neighbours_are(studio: Studio, name: str) -> None:
    def second_of_three(prompt: str, seed: int) -> Tensor:
        neighbour: dict[str, Any] = {"prompt": prompt, "seed": seed}
        batch = [
            studio.begin(studio.ask(name, steps=9, **neighbour)),
            studio.begin(studio.ask(name, steps=4)),
            studio.begin(studio.ask(name, mode="image", steps=8, **neighbour)),
        ]
        for _ in range(4):
            assert studio.runner.step(batch) == [None] * 3
        return batch[1].latents

    assert torch.equal(second_of_three("a house", 1), second_of_three("a red hat", 2))


@pytest.mark.parametrize("name", ["sd3", "flux-dev"])
def test_pictures_of_equal_area_and_another_shape_never_share_a_batch(
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
        ("sd3", {"guidance_scale": 6.0}),
        ("sd3", {"negative_prompt": "a house"}),
        ("sd3-dynamic", {"prompt": "a bird"}),
        ("flux-dev", {"guidance_scale": 6.0}),
        ("flux-schnell", {"prompt": "a bird"}),
    ],
)
def test_what_is_asked_reaches_the_picture(
    studio: Studio, name: str, changes: dict[str, Any]
) -> None:
    request = studio.ask(name)
    assert not torch.equal(studio.draw(request)[1], studio.draw(replace(request, **changes))[1])


@pytest.mark.parametrize("name", MODELS)
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


@pytest.mark.parametrize("name", MODELS)
def test_previews_see_the_latents_as_a_grid(studio: Studio, name: str) -> None:
    denoising = studio.begin(studio.ask(name))
    assert denoising.adapter.grid(denoising).shape == (16, 8, 16)
    assert studio.runner.start_preview(denoising)() is not None


def test_rows_are_two_with_guidance_where_the_model_was_not_distilled(studio: Studio) -> None:
    rows = {
        (name, scale): studio.begin(studio.ask(name, guidance_scale=scale)).rows
        for name in ("sd3", "flux-dev")
        for scale in (1.0, 5.0)
    }
    assert rows == {("sd3", 1.0): 1, ("sd3", 5.0): 2, ("flux-dev", 1.0): 1, ("flux-dev", 5.0): 1}


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("flux-dev", {"negative_prompt": "a dog"}, "does not take a negative prompt"),
        ("flux-dev", {"width_px": 136}, "multiples of 16"),
        ("flux-dev", {"sampler": "euler"}, "The sampler euler does not fit this model"),
        ("sd3", {"width_px": 136}, "multiples of 16"),
        ("sd3", {"width_px": 272}, "draws at most 256 pixels a side"),
        ("sd3", {"sampler": "ddim"}, "The sampler ddim does not fit this model"),
        ("sd3", {"mode": "image", "strength": 1e-20}, "none of the"),
        ("sd3-dynamic", {"sampler": "flow_heun"}, "flow_heun does not fit this model"),
        ("flux-dev", {"sampler": "flow_heun"}, "flow_heun does not fit this model"),
        ("flux-schnell", {"sampler": "flow_heun"}, "flow_heun does not fit this model"),
        ("sd3", {"mode": "image", "sampler": "flow_unipc"}, "flow_unipc only draws from text"),
        ("flux-dev", {"mode": "inpaint", "sampler": "flow_dpmpp_2m"}, "only draws from text"),
    ],
)
def test_what_the_model_cannot_do_is_refused_with_a_sentence(
    studio: Studio, name: str, changes: dict[str, Any], sentence: str
) -> None:
    request = studio.ask(name, **changes)
    with pytest.raises(InvalidRequest, match=sentence):
        studio.begin(request)
