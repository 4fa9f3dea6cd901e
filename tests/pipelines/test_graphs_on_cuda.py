"""The runner's own graphs on the pretend CUDA device: captured, replayed, and the same bits.

What a real device may still refuse to capture, and what it gains, it cannot show.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pipelines.compiling import ask, draw
from tests.pipelines.tiny_chat_models import CHAT_MODELS
from tests.pipelines.tiny_models import build_tiny_sdxl
from tests.pipelines.tiny_transformers import build_tiny_flux, build_tiny_sd3
from tests.pretend_cuda.device import PretendCuda
from tests.pretend_cuda.fixtures import pretend_cuda
from worker.config import EngineConfig
from worker.engine.request import ModelSource
from worker.pipelines.denoising import DenoiserInputs
from worker.pipelines.graphs import Graphs
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.tiny import build_tiny_stable_diffusion

__all__ = ["pretend_cuda"]
FAMILIES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "sd": (build_tiny_stable_diffusion, "euler"),
    "sdxl": (build_tiny_sdxl, "euler"),
    "sd3": (build_tiny_sd3, "flow_euler"),
    "flux": (build_tiny_flux, "flow_euler"),
    **{family: (build, "flow_euler") for family, build in CHAT_MODELS.items()},
}


def runner_with(*, hot_calls: int) -> DiffusersRunner:
    runner = DiffusersRunner(EngineConfig(device="cuda", dtype="float32", preview_every=0))
    runner._graphs = Graphs(runner._device, hot_calls=hot_calls)
    return runner


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_captured_and_replays_the_same_bits(
    family: str, tmp_path: Path, pretend_cuda: PretendCuda
) -> None:
    build, sampler = FAMILIES[family]
    path = tmp_path / family
    build(path)
    runner = runner_with(hot_calls=2)
    source = ModelSource("tiny", family, "folder", str(path))
    request = ask(path, model=source, sampler=sampler, steps=5)
    plain = runner.begin(ask(path, model=source, sampler=sampler, steps=5, exact=True))
    draw(runner, plain)
    drawn = [runner.begin(request), runner.begin(request)]
    for each in drawn:
        draw(runner, each)
    assert runner._graphs.state() == "ready"
    assert runner.finish(drawn[0]).fingerprint["graphs"] == "partly"
    assert runner.finish(drawn[1]).fingerprint["graphs"] == "yes"
    for each in drawn:
        assert torch.equal(each.latents, plain.latents)


def test_a_replay_waits_for_nothing(tiny_model_dir: Path, pretend_cuda: PretendCuda) -> None:
    runner = runner_with(hot_calls=1)
    for _ in range(2):
        drawn = runner.begin(ask(tiny_model_dir))
        inputs = DenoiserInputs(
            drawn.latents.repeat(2, 1, 1, 1), torch.ones(2, device="cuda"), drawn.conditioning
        )
        with torch.no_grad(), pretend_cuda.counted() as waits:
            runner._answer([drawn], inputs)
    assert not waits


def test_what_graphs_hold_is_not_counted_as_room_for_rows(pretend_cuda: PretendCuda) -> None:
    runner = runner_with(hot_calls=1)
    runner._graphs._held_bytes = 6 << 30
    pretend_cuda.state.free, pretend_cuda.state.reserved = 8 << 30, 7 << 30
    assert runner._memory_probe().available() == 9 << 30  # type: ignore[union-attr]
