"""A runner that compiles, for tests: the original's latents beside it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pipelines import drawing
from worker.config import EngineConfig
from worker.engine.request import ImageRequest
from worker.pipelines.compile import CompiledCalls
from worker.pipelines.denoising import Denoising
from worker.pipelines.runner import DiffusersRunner


def ask(path: Path, **changes: Any) -> ImageRequest:
    """A small request of few steps."""
    small: dict[str, Any] = {
        "negative_prompt": "",
        "width_px": 64,
        "height_px": 64,
        "steps": 4,
        "sampler": "euler",
    }
    return drawing.ask(path, **(small | changes))


def runner_with(monkeypatch: pytest.MonkeyPatch, *, backend: Any) -> DiffusersRunner:
    """A runner that compiles by `backend`."""
    monkeypatch.setattr(
        "worker.pipelines.runner.CompiledCalls", lambda: CompiledCalls(backend=backend)
    )
    return DiffusersRunner(EngineConfig(device="cpu", preview_every=0, compile="on"))


def draw(runner: DiffusersRunner, *drawn: Denoising) -> None:
    """All steps of requests that take equally many."""
    while drawn[0].done < drawn[0].calls:
        assert runner.step(drawn) == [None] * len(drawn)


def compile_all(runner: DiffusersRunner) -> None:
    """What the engine does when nobody waits."""
    while runner.idle():
        pass


def eager_latents(path: Path, **changes: Any) -> torch.Tensor:
    """What the original draws."""
    runner = DiffusersRunner(EngineConfig(device="cpu", preview_every=0, compile="off"))
    denoising = runner.begin(ask(path, **changes))
    draw(runner, denoising)
    return denoising.latents


def deviation(answer: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return float((answer - expected).abs().max() / expected.abs().max())
