"""What a model's files leave out of its schedule is not filled in with what pixels need."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
)

from tests.pipelines.drawing import (
    ask_for,
    assert_same,
    begin,
    diffusers_drawing,
    draw,
    known_warnings,
    step_all,
)
from tests.pipelines.kinds import EVERY_SAMPLER
from tests.pipelines.tiny_models import build_variant
from worker.config import EngineConfig
from worker.engine.errors import InvalidRequest
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.samplers import again, build_scheduler
from worker.pipelines.schedules import guidance_rescale, settings_found
from worker.recognition.found import Found

BETAS: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
PREFIX = {"sd": "StableDiffusion", "sdxl": "StableDiffusionXL"}
SUFFIX = {"text": "", "image": "Img2Img", "inpaint": "Inpaint"}


@pytest.fixture(scope="module")
def runner() -> DiffusersRunner:
    return DiffusersRunner(EngineConfig(device="cpu", threads=1, preview_every=0))


@pytest.fixture(scope="module")
def folders(
    tiny_model_dir: Path, tiny_sdxl_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Their files were saved with Euler's scheduler, which knows of no clipping."""
    euler = EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1)
    root = tmp_path_factory.mktemp("euler")
    return {
        "sd": build_variant(tiny_model_dir, root / "sd", scheduler=euler),
        "sdxl": build_variant(tiny_sdxl_dir, root / "sdxl", scheduler=euler),
    }


@pytest.mark.parametrize("sampler", EVERY_SAMPLER)
def test_a_file_that_says_nothing_of_clipping_draws_as_the_pipeline_that_is_built_with_it(
    runner: DiffusersRunner, folders: dict[str, Path], sampler: str
) -> None:
    request = ask_for("text", folders["sd"], sampler=sampler, steps=4)
    reference = diffusers_drawing("StableDiffusionPipeline", request, is_built_anew=True)
    assert_same(draw(runner, request), reference)


@pytest.mark.parametrize("mode", SUFFIX)
@pytest.mark.parametrize("family", PREFIX)
@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_latents_are_clipped_in_no_family_and_no_mode(
    runner: DiffusersRunner, folders: dict[str, Path], sampler: str, family: str, mode: str
) -> None:
    # diffusers' pipelines of Stable Diffusion XL, and all that inpaint, would clip them.
    request = ask_for(mode, folders[family], family=family, sampler=sampler, steps=4, strength=0.9)
    reference = diffusers_drawing(
        f"{PREFIX[family]}{SUFFIX[mode]}Pipeline", request, settings={"clip_sample": False}
    )
    assert_same(draw(runner, request), reference)


def test_latents_keep_their_spread(runner: DiffusersRunner, folders: dict[str, Path]) -> None:
    spreads = {}
    for sampler in ("ddim", "dpmpp_2m"):
        denoising = begin(runner, ask_for("text", folders["sd"], sampler=sampler, steps=10))
        step_all(runner, [denoising])
        spreads[sampler] = float(denoising.latents.std())
    assert spreads["ddim"] == pytest.approx(spreads["dpmpp_2m"], rel=0.3)


@pytest.mark.parametrize("said", [{}, {"clip_sample": True, "steps_offset": 0}])
@pytest.mark.parametrize("trained_class", [PNDMScheduler, DDIMScheduler])
@pytest.mark.parametrize("sampler", ["ddim", "euler", "plms", "dpmpp_2m"])
def test_what_a_pipeline_corrects_in_a_file_holds_for_every_sampler(
    runner: DiffusersRunner,
    tiny_model_dir: Path,
    tmp_path: Path,
    trained_class: Any,
    sampler: str,
    said: dict[str, Any],
) -> None:
    folder = build_variant(tiny_model_dir, tmp_path / "old")
    config = BETAS | said | {"_class_name": trained_class.__name__}
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", trained_class.__name__]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    request = ask_for("text", folder, sampler=sampler, steps=4)
    reference = diffusers_drawing("StableDiffusionPipeline", request, is_built_anew=True)
    assert_same(draw(runner, request), reference)


def test_a_scheduler_made_again_keeps_what_its_pipeline_corrected(tiny_model_dir: Path) -> None:
    trained = DDIMScheduler.from_config(BETAS)  # says nothing of offset and clipping
    parts = StableDiffusionPipeline.from_pretrained(tiny_model_dir).components
    with pytest.warns(FutureWarning):
        StableDiffusionPipeline(**(parts | {"scheduler": trained}), requires_safety_checker=False)
    fresh = again(trained)
    assert (fresh.config.steps_offset, fresh.config.clip_sample) == (1, False)
    assert torch.equal(fresh.alphas_cumprod, trained.alphas_cumprod)


@pytest.fixture(scope="module")
def zero_snr(
    tiny_model_dir: Path, tiny_sdxl_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Trained to predict velocity on a schedule that ends in noise alone."""
    trained = DDIMScheduler(
        **BETAS,
        clip_sample=False,
        steps_offset=1,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )
    root = tmp_path_factory.mktemp("zero-snr")
    return {
        "sd": build_variant(tiny_model_dir, root / "sd", scheduler=trained),
        "sdxl": build_variant(tiny_sdxl_dir, root / "sdxl", scheduler=trained),
    }


@pytest.mark.parametrize("sampler", ["ddim", "euler", "euler_a", "dpmpp_2m", "unipc", "lcm"])
@pytest.mark.parametrize(
    ("family", "mode"), [("sd", "text"), ("sdxl", "text"), ("sdxl", "image"), ("sdxl", "inpaint")]
)
def test_guidance_of_a_model_whose_schedule_ends_in_noise_is_rescaled(
    runner: DiffusersRunner, zero_snr: dict[str, Path], family: str, mode: str, sampler: str
) -> None:
    request = ask_for(mode, zero_snr[family], family=family, sampler=sampler, steps=4)
    pipeline = f"{PREFIX[family]}{SUFFIX[mode]}Pipeline"
    drawn = draw(runner, request)
    assert_same(drawn, diffusers_drawing(pipeline, request, guidance_rescale=0.7))
    assert not torch.equal(drawn[0], diffusers_drawing(pipeline, request).latents)


def test_a_sampler_that_would_draw_by_another_schedule_is_refused(
    runner: DiffusersRunner, zero_snr: dict[str, Path]
) -> None:
    with pytest.raises(InvalidRequest, match="The sampler heun does not fit this model"):
        begin(runner, ask_for("text", zero_snr["sd"], sampler="heun"))


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"prediction_type": "v_prediction"}, {"prediction_type": "v_prediction"}),
        ({"prediction_type": "unknown"}, {}),
        ({"prediction_type": "flow", "few_step": "turbo"}, {}),
        (
            {"prediction_type": "epsilon", "few_step": "lightning"},
            {"prediction_type": "epsilon", "timestep_spacing": "trailing"},
        ),
        (
            {"prediction_type": "v_prediction", "zero_snr": True},
            {
                "prediction_type": "v_prediction",
                "rescale_betas_zero_snr": True,
                "timestep_spacing": "trailing",
            },
        ),
    ],
)
def test_what_a_single_file_says_of_its_schedule_is_taken(
    told: dict[str, Any], wanted: dict[str, Any]
) -> None:
    found = Found(kind="checkpoint", form="file", sentence="", **told)
    assert settings_found(found) == wanted


@pytest.mark.parametrize("sampler", ["ddim", "euler_a", "dpmpp_2m"])
def test_every_sampler_hears_of_it(sampler: str) -> None:
    trained = PNDMScheduler(**BETAS, skip_prk_steps=True)  # knows no rescaling itself
    found = Found(
        kind="checkpoint", form="file", sentence="", prediction_type="v_prediction", zero_snr=True
    )
    trained.register_to_config(**settings_found(found))
    with known_warnings():
        scheduler = build_scheduler(trained, sampler, steps=4)
    assert scheduler.config.prediction_type == "v_prediction"
    assert float(scheduler.alphas_cumprod[-1]) < 1e-6
    assert guidance_rescale(trained) == 0.7
