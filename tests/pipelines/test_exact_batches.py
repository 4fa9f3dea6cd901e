"""Requests that share denoiser calls: each is as if alone, but for the last bits of sums."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tests.pipelines.drawing import ask_for, begin, draw, step_all
from worker.config import EngineConfig
from worker.engine.request import ImageRequest
from worker.pipelines.denoising import Denoising
from worker.pipelines.runner import DiffusersRunner

RELATIVE = 1e-5  # float32 sums in another order


@pytest.fixture(scope="module")
def runner() -> DiffusersRunner:
    return DiffusersRunner(EngineConfig(device="cpu", threads=1, preview_every=0))


@pytest.fixture(params=["sd", "sdxl"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model_dir(family: str, tiny_model_dir: Path, tiny_sdxl_dir: Path) -> Path:
    return tiny_model_dir if family == "sd" else tiny_sdxl_dir


def colourful(family: str, path: Path) -> list[ImageRequest]:
    """All modes, samplers of several kinds, one and two rows, several lengths."""
    return [
        ask_for("text", path, family=family, sampler="ddim", steps=7, seed=1),
        ask_for("text", path, family=family, sampler="euler", guidance_scale=1.0, seed=2),
        ask_for("image", path, family=family, sampler="dpmpp_2m_karras", steps=9, seed=3),
        ask_for("inpaint", path, family=family, sampler="euler_a", guidance_scale=12.0, seed=4),
        ask_for("upscale", path, family=family, sampler="heun", steps=4, seed=5),
        ask_for("text", path, family=family, sampler="lcm", guidance_scale=0.0, steps=3, seed=6),
    ]


def deviation(latents: torch.Tensor, expected: torch.Tensor) -> float:
    return float((latents - expected).abs().max() / expected.abs().max())


def test_a_batch_of_all_kinds_draws_what_each_draws_alone(
    runner: DiffusersRunner, family: str, model_dir: Path
) -> None:
    requests = colourful(family, model_dir)
    batch: list[Denoising] = []
    for request in requests:  # they join one by one, so that all are at different steps
        batch.append(begin(runner, request))
        under_way = [each for each in batch if each.done < each.calls]
        assert runner.step(under_way) == [None] * len(under_way)
    assert len({each.key for each in batch}) == 1
    assert {each.rows for each in batch} == {1, 2}
    step_all(runner, batch)
    for request, together in zip(requests, batch, strict=True):
        alone, _ = draw(runner, request)
        assert deviation(together.latents, alone) < RELATIVE, request.sampler


def test_the_neighbours_do_not_matter_where_the_row_count_is_the_same(
    runner: DiffusersRunner, family: str, model_dir: Path
) -> None:
    def drawn_among(neighbours: Sequence[ImageRequest]) -> torch.Tensor:
        request = ask_for("text", model_dir, family=family, sampler="dpmpp_2m", steps=4)
        batch = [begin(runner, each) for each in (neighbours[0], request, *neighbours[1:])]
        for _ in range(4):
            assert runner.step(batch) == [None] * len(batch)
        return batch[1].latents

    def ask_neighbour(mode: str, sampler: str, seed: int) -> ImageRequest:
        return ask_for(mode, model_dir, family=family, sampler=sampler, seed=seed, steps=8)

    first = drawn_among([ask_neighbour("text", "ddim", 1), ask_neighbour("image", "unipc", 2)])
    second = drawn_among([ask_neighbour("inpaint", "euler_a", 3), ask_neighbour("text", "lms", 4)])
    assert torch.equal(first, second)


def test_one_that_repaints_keeps_what_its_mask_keeps_in_a_batch(
    runner: DiffusersRunner, family: str, model_dir: Path
) -> None:
    requests = [
        ask_for("inpaint", model_dir, family=family, sampler=sampler, steps=5)
        for sampler in ("euler", "ddim")
    ]
    batch = [begin(runner, request) for request in requests]
    step_all(runner, batch)
    middle = batch[0].latents.shape[-1] // 2
    kept = [each.latents[..., 2:, :middle] for each in batch]
    repainted = [each.latents[..., middle + 1 :] for each in batch]
    assert torch.equal(*kept)  # of the same seed, so the same start image
    assert deviation(*repainted) > 100 * RELATIVE  # by two samplers
