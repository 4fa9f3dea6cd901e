"""The starter model that ships: its files, its figures, and the images it draws."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pipelines.drawing import draw
from worker.config import EngineConfig
from worker.engine.request import ImageRequest, ModelSource, RenderedImage
from worker.pipelines.runner import DiffusersRunner

PROJECT = Path(__file__).resolve().parents[2]
STARTER = PROJECT / "worker" / "starter"
MODEL = ModelSource("starter", "sd", "folder", str(STARTER / "pipeline"))
STORED = Path(__file__).parent / "starter.png"
MEGABYTE = 1_000_000
# Other processors round differently; a wrong weight or schedule differs by tens.
TOLERANCE = 3.0


@pytest.fixture(scope="module")
def runner() -> DiffusersRunner:
    runner = DiffusersRunner(EngineConfig(device="cpu", preview_every=0))
    runner.make_resident(MODEL)
    return runner


def drawn(runner: DiffusersRunner, prompt: str, *, seed: int = 3) -> RenderedImage:
    request = ImageRequest(
        "starter", "alice", MODEL, prompt, "", 128, 128, 20, 2.0, seed, sampler="ddim"
    )
    return draw(runner, request)[1]


def pixels_of(image: RenderedImage) -> np.ndarray:
    rows = np.frombuffer(image.pixels, dtype=np.uint8)
    return rows.reshape(image.height_px, image.width_px, 3)


def test_a_fixed_prompt_and_seed_draw_the_stored_picture(runner: DiffusersRunner) -> None:
    picture = pixels_of(drawn(runner, "a red apple on a blue background"))
    stored = np.asarray(Image.open(STORED).convert("RGB"))
    assert np.abs(picture.astype(int) - stored.astype(int)).mean() < TOLERANCE


@pytest.mark.parametrize(
    ("prompt", "background"),
    [
        ("a cat on a yellow background", (250, 212, 64)),
        ("파란 배경의 사과", (48, 100, 210)),
        ("a house on a green background", (60, 165, 85)),
    ],
)
def test_the_background_is_what_was_asked_for(
    runner: DiffusersRunner, prompt: str, background: tuple[int, int, int]
) -> None:
    corners = pixels_of(drawn(runner, prompt))[[2, 2, -3, -3], [2, -3, 2, -3]]
    assert np.abs(np.median(corners, axis=0) - background).max() < 40


def test_its_weights_are_safetensors_of_forty_megabytes_at_most() -> None:
    sizes = {path: path.stat().st_size for path in STARTER.rglob("*") if path.is_file()}
    assert sum(sizes.values()) <= 40 * MEGABYTE
    assert max(sizes.values()) <= 16 * MEGABYTE
    assert {path.suffix for path in sizes if sizes[path] > MEGABYTE} <= {".safetensors", ".webp"}


def test_its_figures_are_the_ones_wanted_at_its_size() -> None:
    figures = json.loads((STARTER / "evaluation.json").read_text("utf-8"))
    assert figures["resolution_px"] == 128
    assert figures["top5"] >= 0.60
    assert figures["background"] >= 0.85
    assert figures["psnr_db"] >= 26
