"""Stable Diffusion, stepped by the runner, is bit for bit what diffusers' pipelines draw."""

from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.drawing import ask, ask_for, assert_same, begin, diffusers_drawing, draw
from tests.pipelines.kinds import EVERY_SAMPLER, KINDS
from tests.pipelines.tiny_models import build_variant, v_prediction_scheduler
from worker.config import EngineConfig
from worker.engine.errors import InvalidRequest, ModelUnavailable
from worker.engine.request import ImageRequest, ModelSource
from worker.pipelines.inspect import inspect_path
from worker.pipelines.runner import DiffusersRunner

PIPELINES = {
    "text": "StableDiffusionPipeline",
    "image": "StableDiffusionImg2ImgPipeline",
    "inpaint": "StableDiffusionInpaintPipeline",
    "upscale": "StableDiffusionImg2ImgPipeline",
}


@pytest.fixture(scope="module")
def runner() -> DiffusersRunner:
    return DiffusersRunner(EngineConfig(device="cpu", threads=1, preview_every=0))


@pytest.fixture(scope="module")
def velocity_dir(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predicts velocity, as Stable Diffusion 2 at 768 pixels does."""
    path = tmp_path_factory.mktemp("models") / "velocity"
    return build_variant(tiny_model_dir, path, scheduler=v_prediction_scheduler())


@pytest.fixture(scope="module")
def repainting_dir(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes nine channels: it only inpaints."""
    return build_variant(
        tiny_model_dir,
        tmp_path_factory.mktemp("models") / "repainting",
        pipeline_class="StableDiffusionInpaintPipeline",
        unet={"in_channels": 9},
    )


def check(runner: DiffusersRunner, request: ImageRequest, **settings: Any) -> None:
    """`settings`: of the scheduler, where we set it otherwise than the model's files."""
    reference = diffusers_drawing(PIPELINES[request.mode], request, settings=settings)
    assert_same(draw(runner, request), reference)


@pytest.mark.parametrize("sampler", EVERY_SAMPLER)
def test_one_step_begins_where_all_is_noise(
    runner: DiffusersRunner, tiny_model_dir: Path, sampler: str
) -> None:
    # diffusers' usual spacing of a single step is time 0, or 1: a flat image.
    request = ask(tiny_model_dir, sampler=sampler, steps=1)
    assert begin(runner, request).timesteps.tolist() == pytest.approx([999], abs=1)
    check(runner, request, timestep_spacing="trailing")


@pytest.mark.parametrize("sampler", EVERY_SAMPLER)
def test_every_sampler_draws_from_text(
    runner: DiffusersRunner, tiny_model_dir: Path, sampler: str
) -> None:
    check(runner, ask(tiny_model_dir, sampler=sampler, steps=4))


@pytest.mark.parametrize("sampler", EVERY_SAMPLER)
def test_every_sampler_draws_with_a_model_that_predicts_velocity(
    runner: DiffusersRunner, velocity_dir: Path, sampler: str
) -> None:
    check(runner, ask(velocity_dir, sampler=sampler, steps=4))


@pytest.mark.parametrize("mode", ["image", "inpaint"])
@pytest.mark.parametrize("sampler", KINDS)
def test_a_start_picture_is_redrawn_or_repainted(
    runner: DiffusersRunner, tiny_model_dir: Path, mode: str, sampler: str
) -> None:
    check(runner, ask_for(mode, tiny_model_dir, sampler=sampler, steps=5))


@pytest.mark.parametrize("sampler", ["ddim", "euler_a", "heun", "dpmpp_sde", "unipc", "lcm"])
def test_a_model_that_only_repaints_repaints(
    runner: DiffusersRunner, repainting_dir: Path, sampler: str
) -> None:
    check(runner, ask_for("inpaint", repainting_dir, sampler=sampler, steps=5))


@pytest.mark.parametrize("sampler", ["ddim", "euler_a", "heun"])
def test_a_picture_is_drawn_at_twice_its_size(
    runner: DiffusersRunner, tiny_model_dir: Path, sampler: str
) -> None:
    request = ask_for("upscale", tiny_model_dir, sampler=sampler, strength=0.4)
    latents, image = draw(runner, request)
    assert (image.width_px, image.height_px) == (128, 64)
    assert_same((latents, image), diffusers_drawing(PIPELINES["upscale"], request))


@pytest.mark.parametrize("mode", ["image", "inpaint"])
@pytest.mark.parametrize("guidance_scale", [1.0, 30.0])
@pytest.mark.parametrize("strength", [0.2, 1.0])
def test_every_guidance_scale_and_strength(
    runner: DiffusersRunner, tiny_model_dir: Path, mode: str, guidance_scale: float, strength: float
) -> None:
    settings = {"guidance_scale": guidance_scale, "strength": strength, "sampler": "euler_a"}
    check(runner, ask_for(mode, tiny_model_dir, **settings))


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("guidance_scale", [1.0, 7.5])
def test_a_model_that_only_repaints_does_so_at_every_strength(
    runner: DiffusersRunner, repainting_dir: Path, strength: float, guidance_scale: float
) -> None:
    settings = {"strength": strength, "guidance_scale": guidance_scale, "sampler": "euler"}
    check(runner, ask_for("inpaint", repainting_dir, **settings))


@pytest.mark.parametrize("mode", ["text", "image", "inpaint"])
def test_a_distilled_model_is_told_the_guidance_scale(
    runner: DiffusersRunner, tiny_model_dir: Path, tmp_path: Path, mode: str
) -> None:
    path = build_variant(tiny_model_dir, tmp_path / "lcm", unet={"time_cond_proj_dim": 16})
    request = ask_for(mode, path, sampler="lcm", guidance_scale=8.0)
    assert begin(runner, request).rows == 1
    check(runner, request)


@pytest.mark.parametrize("sampler", ["heun", "plms", "dpmpp_sde", "dpmpp_3m_sde", "dpm2", "lms"])
def test_few_steps_are_enough_for_samplers_of_higher_order(
    runner: DiffusersRunner, tiny_model_dir: Path, sampler: str
) -> None:
    check(runner, ask(tiny_model_dir, sampler=sampler, steps=3))


def test_a_schedule_that_holds_its_first_time_twice_is_gone_through_whole(
    runner: DiffusersRunner, tiny_model_dir: Path
) -> None:
    # `StableDiffusionPipeline` itself begins at the second step and runs off the end.
    latents, _ = draw(runner, ask(tiny_model_dir, sampler="dpmpp_2m_beta", steps=40))
    assert latents.isfinite().all()


@pytest.mark.parametrize("mode", ["text", "image", "upscale"])
def test_a_model_that_only_repaints_does_nothing_else(
    runner: DiffusersRunner, repainting_dir: Path, mode: str
) -> None:
    with pytest.raises(InvalidRequest, match="only inpaints"):
        begin(runner, ask_for(mode, repainting_dir))


@pytest.mark.parametrize("sampler", ["euler", "heun", "plms"])
@pytest.mark.parametrize("mode", ["image", "inpaint", "upscale"])
def test_a_strength_that_leaves_no_step_is_refused(
    runner: DiffusersRunner, tiny_model_dir: Path, mode: str, sampler: str
) -> None:
    request = ask_for(mode, tiny_model_dir, sampler=sampler, steps=9, strength=0.1)
    with pytest.raises(InvalidRequest, match=r"strength 0\.1 none of the 9 steps is left"):
        begin(runner, request)


def test_a_picture_that_no_grid_of_latents_covers_is_refused(
    runner: DiffusersRunner, tiny_model_dir: Path
) -> None:
    with pytest.raises(InvalidRequest, match="multiples of 8"):
        begin(runner, ask(tiny_model_dir, width_px=100))


def test_a_model_that_only_repaints_is_told_from_one_that_draws(repainting_dir: Path) -> None:
    found = inspect_path(repainting_dir)
    assert (found.family, found.usable, found.only_repaints) == ("sd", False, True)
    assert found.sentence == "repainting only inpaints: it needs a start image and a mask."


def test_a_model_that_repaints_is_refused_where_its_files_are_broken(
    runner: DiffusersRunner, repainting_dir: Path, tmp_path: Path
) -> None:
    broken = build_variant(repainting_dir, tmp_path / "broken")
    file = broken / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelUnavailable, match="damaged"):
        runner.make_resident(ModelSource("broken", "sd", "folder", str(broken)))


def settings_of(model: Any) -> tuple[Any, ...]:
    pipe = model.pipeline
    return type(pipe), pipe.scheduler, dict(model.trained_scheduler.config)


def test_drawing_leaves_the_loaded_model_as_it_was(
    runner: DiffusersRunner, tiny_model_dir: Path
) -> None:
    model = begin(runner, ask(tiny_model_dir)).model
    before = settings_of(model)
    for mode in PIPELINES:
        draw(runner, ask_for(mode, tiny_model_dir, sampler="unipc"))
    assert settings_of(model) == before
