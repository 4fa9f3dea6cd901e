"""The noise schedules of models: diffusers' own numbers, without diffusers."""

import json
from pathlib import Path
from typing import Any

import pytest
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

from webapp.catalog.models import DiffusionModel
from webapp.catalog.schedules import CONFIG, build_schedule, schedule_of

STARTER = Path(__file__).resolve().parents[2] / "worker" / "starter" / "pipeline"


@pytest.mark.parametrize(
    "described",
    [
        {"beta_schedule": "linear"},
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"beta_schedule": "linear", "num_train_timesteps": 250},
        {"trained_betas": [0.001, 0.01, 0.1]},
    ],
)
@pytest.mark.parametrize("zero_snr", [False, True])
def test_a_schedule_has_the_numbers_of_diffusers(described: dict[str, Any], zero_snr: bool) -> None:
    config = {**described, "rescale_betas_zero_snr": zero_snr}
    known = DDIMScheduler(**config).alphas_cumprod.tolist()
    schedule = build_schedule(config)
    assert schedule is not None
    assert schedule.alpha_bars == pytest.approx(known, rel=1e-3, abs=2e-6)
    assert schedule.level(0).noise_share == pytest.approx(1 - known[0], abs=2e-6)


def test_between_two_times_alpha_bar_lies_between_theirs() -> None:
    schedule = build_schedule({"beta_schedule": "linear"})
    assert schedule is not None
    low, middle, high = (schedule.alpha_bar(time) for time in (501, 500.25, 500))
    assert low < middle < high
    assert middle == pytest.approx(high * 0.75 + low * 0.25)
    assert schedule.level(1000).signal == schedule.level(999).signal
    with pytest.raises(ValueError, match="not a time"):
        schedule.level(1000.5)


def test_a_flow_is_a_straight_line_from_image_to_noise() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(4)
    schedule = build_schedule({**scheduler.config, "_class_name": type(scheduler).__name__})
    assert schedule is not None
    for time, sigma in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
        level = schedule.level(float(time))
        assert (level.signal, level.noise) == pytest.approx((1 - float(sigma), float(sigma)))
    assert schedule.level(500).noise_share == 0.5


def test_other_kinds_of_schedule_are_not_guessed_at() -> None:
    assert build_schedule({"_class_name": "EDMEulerScheduler"}) is None
    assert build_schedule({"beta_schedule": "sigmoid"}) is None
    assert build_schedule({}) is None


def model_at(path: Path, source: str = "folder", family: str = "sd") -> DiffusionModel:
    return DiffusionModel(slug="one", family=family, source=source, location=str(path))


def test_a_folder_is_asked_for_its_own_schedule_and_a_file_for_its_familys(tmp_path: Path) -> None:
    starter = schedule_of(model_at(STARTER))
    assert starter is not None
    assert starter.name == json.loads((STARTER / CONFIG).read_text())["beta_schedule"]
    single = schedule_of(model_at(tmp_path / "one.safetensors", source="file", family="sdxl"))
    assert single is not None
    assert (single.name, single.times) == ("scaled_linear", 1000)
    flux = schedule_of(model_at(tmp_path / "one.safetensors", source="file", family="flux"))
    assert flux is not None
    assert flux.name == "flow"


def test_a_file_of_stable_diffusion_that_leaves_out_its_offset_has_the_one_it_was_trained_with(
    tmp_path: Path,
) -> None:
    (tmp_path / CONFIG).parent.mkdir()
    (tmp_path / CONFIG).write_text(json.dumps({"beta_schedule": "scaled_linear"}))
    offsets = {family: schedule_of(model_at(tmp_path, family=family)) for family in ("sd", "sdxl")}
    assert {family: each and each.offset for family, each in offsets.items()} == {
        "sd": 1,
        "sdxl": 0,
    }


@pytest.mark.parametrize("text", ["", "[]", '{"num_train_timesteps": "many"}', None])
def test_files_that_say_nothing_give_no_schedule(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "scheduler").mkdir()
        (tmp_path / CONFIG).write_text(text)
    assert schedule_of(model_at(tmp_path)) is None
