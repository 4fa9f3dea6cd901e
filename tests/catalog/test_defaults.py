"""A model that is added begins with what its family, or its distillation, draws best with."""

import json
from pathlib import Path
from typing import Any

import pytest

from webapp.catalog.architectures import ARCHITECTURES
from webapp.catalog.models import DiffusionModel
from webapp.catalog.services import add_local_model
from webapp.core.errors import InvalidInput
from webapp.generation.request.checks import parse_spec

pytestmark = pytest.mark.django_db
KARRAS = "dpmpp_2m_karras"


def added(folder: Path, family: str, **found: Any) -> DiffusionModel:
    said = {"form": "folder", "family": family, "title": "Fox", "native_size_px": 512}
    return add_local_model(path=folder, found=said | found)


def numbers_of(model: DiffusionModel) -> tuple[Any, ...]:
    grid, words = model.side_multiple_px, model.uses_negative_prompt
    return model.steps, model.guidance_scale, model.sampler, grid, words


@pytest.mark.parametrize(
    ("family", "numbers"),
    [
        ("sd", (28, 7.0, KARRAS, 8, True)),
        ("sdxl", (30, 6.0, KARRAS, 8, True)),
        ("sd3", (28, 4.5, "flow_euler", 16, True)),
        ("flux", (28, 3.5, "flow_euler", 16, False)),
        ("z_image", (50, 5.0, "flow_euler", 16, True)),
        ("qwen_image", (50, 4.0, "flow_euler", 16, True)),
        ("flux2_klein", (50, 4.0, "flow_euler", 16, False)),
    ],
)
def test_each_family_has_numbers_of_its_own(
    tmp_path: Path, family: str, numbers: tuple[Any, ...]
) -> None:
    assert numbers_of(added(tmp_path, family)) == numbers


@pytest.mark.parametrize(
    ("family", "few_step", "few_steps", "numbers"),
    [
        ("sdxl", "turbo", 0, (4, 1.0, "euler_a", 8, False)),
        ("sdxl", "lightning", 8, (8, 1.0, "euler", 8, False)),
        ("sdxl", "dmd2", 0, (4, 1.0, "lcm", 8, False)),
        ("sd", "lcm", 0, (6, 1.0, "lcm", 8, False)),
        ("sdxl", "hyper", 1, (1, 1.0, "ddim", 8, False)),
        ("sd3", "turbo", 0, (4, 1.0, "flow_euler", 16, False)),
        ("flux", "schnell", 4, (4, 1.0, "flow_euler", 16, False)),
        ("flux2_klein", "distilled", 0, (4, 1.0, "flow_euler", 16, False)),
        ("z_image", "turbo", 0, (8, 0.0, "flow_euler", 16, False)),
    ],
)
def test_a_model_that_was_distilled_begins_with_few_steps_and_without_guidance(
    tmp_path: Path, family: str, few_step: str, few_steps: int, numbers: tuple[Any, ...]
) -> None:
    model = added(tmp_path, family, few_step=few_step, few_steps=few_steps)
    assert numbers_of(model) == numbers
    asked = parse_spec({"prompt": "a fox"}, model=model)
    assert (asked.steps, asked.guidance_scale) == numbers[:2]


def test_what_somebody_says_of_steps_counts_more(tmp_path: Path) -> None:
    said = {"form": "folder", "family": "sdxl", "title": "Fox", "few_step": "turbo"}
    assert add_local_model(path=tmp_path, found=said, steps=2).steps == 2


@pytest.mark.parametrize(("family", "least"), [("sd", 1.0), ("flux", 1.0), ("z_image", 0.0)])
def test_the_least_guidance_is_the_familys(tmp_path: Path, family: str, least: float) -> None:
    model = added(tmp_path, family)
    said = {"prompt": "a fox", "guidance_scale": least}
    assert parse_spec(said, model=model).guidance_scale == least
    with pytest.raises(InvalidInput, match=f"must be from {least:g} to 30"):
        parse_spec(said | {"guidance_scale": least - 0.5}, model=model)


def test_every_usual_sampler_is_on_offer_and_every_usual_guidance_allowed() -> None:
    for each in ARCHITECTURES.values():
        assert each.sampler in {"", *each.samplers}
        assert each.guidance_scale >= each.least_guidance


def test_a_sampler_that_would_drop_the_models_schedule_is_refused_at_the_form(
    tmp_path: Path,
) -> None:
    model = added(tmp_path, "sdxl")
    asked = {"prompt": "a fox", "sampler": "heun"}
    assert parse_spec(asked, model=model).sampler == "heun"
    (tmp_path / "scheduler").mkdir()
    config = {"beta_schedule": "scaled_linear", "rescale_betas_zero_snr": True}
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    assert len(model.samplers) == len(model.architecture.samplers) - 14
    with pytest.raises(InvalidInput, match="There is no sampler “Heun” for Fox"):
        parse_spec(asked, model=model)
