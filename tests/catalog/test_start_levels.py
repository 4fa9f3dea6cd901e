"""The few numbers by which a page shows how noisy a start image becomes."""

from pathlib import Path

import pytest

from webapp.catalog.models import DiffusionModel
from webapp.catalog.schedules import schedule_of
from webapp.catalog.start_levels import POINTS, start_levels

STARTER = Path(__file__).resolve().parents[2] / "worker" / "starter" / "pipeline"


def test_a_diffusion_model_brings_its_alpha_bars_and_its_spacing() -> None:
    starter = DiffusionModel(slug="starter", family="sd", source="folder", location=str(STARTER))
    levels, schedule = start_levels(starter), schedule_of(starter)
    assert levels is not None
    assert schedule is not None
    bars = levels["alpha_bars"]
    assert (len(bars), levels["times"], levels["spacing"]) == (POINTS + 1, 1000, "trailing")
    assert bars[0] == pytest.approx(schedule.alpha_bars[0], abs=1e-5)
    assert bars[-1] == pytest.approx(schedule.alpha_bars[-1], abs=1e-5)
    assert bars == sorted(bars, reverse=True)


def test_a_flow_brings_how_far_it_leans_towards_noise(tmp_path: Path) -> None:
    folder = tmp_path / "scheduler"
    folder.mkdir()
    config = '{"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}'
    (folder / "scheduler_config.json").write_text(config)
    model = DiffusionModel(slug="flow", family="sd3", source="folder", location=str(tmp_path))
    assert start_levels(model) == {"shift": 3.0}


def test_a_model_whose_files_say_nothing_brings_nothing(tmp_path: Path) -> None:
    model = DiffusionModel(slug="bare", family="sd", source="folder", location=str(tmp_path))
    assert start_levels(model) is None
