"""Stable Diffusion XL, stepped by the runner, is bit for bit what diffusers' pipelines draw."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import EDMDPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler
from safetensors.torch import load_file

from tests.pipelines.drawing import (
    ask_for,
    assert_same,
    begin,
    diffusers_drawing,
    draw,
    known_warnings,
    load_pipeline,
)
from tests.pipelines.tiny_models import build_variant
from worker.config import EngineConfig
from worker.engine.errors import InvalidRequest
from worker.engine.request import ImageRequest
from worker.pipelines.inspect import inspect_path
from worker.pipelines.runner import DiffusersRunner

PIPELINES = {
    "text": "StableDiffusionXLPipeline",
    "image": "StableDiffusionXLImg2ImgPipeline",
    "inpaint": "StableDiffusionXLInpaintPipeline",
    "upscale": "StableDiffusionXLImg2ImgPipeline",
}
Variant = Callable[..., Path]


@pytest.fixture(scope="module")
def runner() -> DiffusersRunner:
    return DiffusersRunner(EngineConfig(device="cpu", threads=1, preview_every=0))


@pytest.fixture
def variant(tiny_sdxl_dir: Path, tmp_path: Path) -> Variant:
    return lambda **changes: build_variant(tiny_sdxl_dir, tmp_path / "variant", **changes)


def ask_xl(mode: str, path: Path, **changes: Any) -> ImageRequest:
    return ask_for(mode, path, family="sdxl", **changes)


def check(runner: DiffusersRunner, request: ImageRequest, **extra: Any) -> None:
    reference = diffusers_drawing(PIPELINES[request.mode], request, **extra)
    assert_same(draw(runner, request), reference)


@pytest.mark.parametrize("mode", PIPELINES)
@pytest.mark.parametrize(
    "sampler", ["ddim", "euler", "euler_a", "dpmpp_2m_karras", "dpmpp_sde", "heun", "unipc", "lcm"]
)
def test_every_mode_draws(
    runner: DiffusersRunner, tiny_sdxl_dir: Path, mode: str, sampler: str
) -> None:
    check(runner, ask_xl(mode, tiny_sdxl_dir, sampler=sampler, steps=4))


@pytest.mark.parametrize("mode", ["text", "inpaint"])
@pytest.mark.parametrize("guidance_scale", [0.0, 1.0, 12.0])
@pytest.mark.parametrize("negative_prompt", ["", "a dog"])
def test_an_empty_negative_prompt_is_what_the_model_was_trained_with(
    runner: DiffusersRunner,
    tiny_sdxl_dir: Path,
    mode: str,
    guidance_scale: float,
    negative_prompt: str,
) -> None:
    settings = {"guidance_scale": guidance_scale, "negative_prompt": negative_prompt}
    request = ask_xl(mode, tiny_sdxl_dir, sampler="euler", strength=1.0, steps=3, **settings)
    assert begin(runner, request).rows == (2 if guidance_scale > 1 else 1)
    check(runner, request)


@pytest.mark.parametrize("steps", [1, 4])
def test_turbo_draws_in_few_steps_without_guidance(
    runner: DiffusersRunner, variant: Variant, steps: int
) -> None:
    with known_warnings():
        trained = EulerAncestralDiscreteScheduler(  # as in SDXL Turbo's files
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            timestep_spacing="trailing",
            steps_offset=1,
        )
        path = variant(scheduler=trained)
    settings = {"sampler": "euler_a", "guidance_scale": 0.0, "negative_prompt": ""}
    check(runner, ask_xl("text", path, steps=steps, **settings))


def test_a_schedule_that_holds_its_first_time_twice_begins_at_its_first_step(
    runner: DiffusersRunner, tiny_sdxl_dir: Path
) -> None:
    request = ask_xl("text", tiny_sdxl_dir, sampler="dpmpp_2m_beta", steps=40)
    first, second, *_ = begin(runner, request).timesteps.tolist()
    assert first == second
    check(runner, request)


@pytest.mark.parametrize("sampler", ["ddim", "euler_a", "dpmpp_2m"])
@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_a_model_that_only_repaints_repaints_and_does_nothing_else(
    runner: DiffusersRunner, variant: Variant, sampler: str, strength: float
) -> None:
    path = variant(unet={"in_channels": 9}, pipeline_class=PIPELINES["inpaint"])
    found = inspect_path(path)
    assert (found.family, found.usable, found.only_repaints) == ("sdxl", False, True)
    check(runner, ask_xl("inpaint", path, sampler=sampler, strength=strength, steps=4))
    with pytest.raises(InvalidRequest, match="only inpaints"):
        begin(runner, ask_xl("text", path))


@pytest.mark.parametrize("mode", ["text", "image"])
def test_a_vae_with_a_mean_and_a_spread_of_its_own(
    runner: DiffusersRunner, variant: Variant, mode: str
) -> None:
    path = variant(vae={"latents_mean": [-1.6, 1.1, 0.3, -0.2], "latents_std": [8.4, 5.9, 5.3, 7]})
    check(runner, ask_xl(mode, path))


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m"])
def test_models_in_the_numbers_of_edm_draw_with_the_samplers_that_know_them(
    runner: DiffusersRunner, variant: Variant, sampler: str
) -> None:
    path = variant(scheduler=EDMDPMSolverMultistepScheduler(sigma_max=80.0))
    check(runner, ask_xl("text", path, sampler=sampler))
    with pytest.raises(InvalidRequest, match="it takes euler, dpmpp_2m"):
        begin(runner, ask_xl("text", path, sampler="ddim"))


@pytest.mark.parametrize("mode", PIPELINES)
def test_in_half_precision_the_vae_works_in_single_precision(
    tiny_sdxl_dir: Path, mode: str
) -> None:
    config = EngineConfig(device="cpu", dtype="float16", threads=1, preview_every=0)
    request = ask_xl(mode, tiny_sdxl_dir, sampler="euler")
    runner = DiffusersRunner(config)
    drawn = draw(runner, request)
    pipe, _ = load_pipeline(PIPELINES[mode], tiny_sdxl_dir)
    try:
        pipe.to(torch.float16)
        assert_same(drawn, diffusers_drawing(PIPELINES[mode], request))
    finally:
        load_pipeline.cache_clear()
    vae = begin(runner, request).model.pipeline.vae
    assert vae.dtype == torch.float16
    kept = load_file(tiny_sdxl_dir / "vae" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(each, kept[name].half()) for name, each in vae.state_dict().items())
