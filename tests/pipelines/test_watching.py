"""Numbers that ran over are noticed soon, alone, and without a wait for the device."""

from pathlib import Path

import pytest
import torch

from tests.pipelines.drawing import ask, begin, step
from tests.pretend_cuda.device import PretendCuda
from tests.pretend_cuda.fixtures import pretend_cuda
from worker.config import EngineConfig
from worker.engine.errors import Overflowed
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.watching import EVERY_STEPS, Watch

__all__ = ["pretend_cuda"]


@pytest.fixture(scope="module")
def runner() -> DiffusersRunner:
    return DiffusersRunner(EngineConfig(device="cpu", threads=1, preview_every=0))


@pytest.mark.parametrize("fault", [torch.nan, torch.inf])
def test_whose_numbers_ran_over_fails_alone(
    runner: DiffusersRunner, tiny_model_dir: Path, fault: float
) -> None:
    batch = [begin(runner, ask(tiny_model_dir)) for _ in range(2)]
    batch[0].latents[0, 1, 2, 3] = fault
    outcomes = runner.step(batch)
    assert isinstance(outcomes[0], Overflowed)
    assert outcomes[1] is None


def test_what_runs_over_later_is_noticed_before_the_last_step(
    runner: DiffusersRunner, tiny_model_dir: Path
) -> None:
    one = begin(runner, ask(tiny_model_dir, steps=20))
    for _ in range(3):
        step(runner, [one])
    one.latents.fill_(torch.nan)
    outcomes = [runner.step([one])[0] for _ in range(EVERY_STEPS - 3)]
    assert [type(each) for each in outcomes] == [type(None)] * (EVERY_STEPS - 4) + [Overflowed]


def test_nobody_waits_for_the_answer_of_a_device(pretend_cuda: PretendCuda) -> None:
    latents = torch.full((1, 4, 8, 8), torch.nan, device="cuda")
    watch = Watch()
    with pretend_cuda.counted() as waits:
        pretend_cuda.state.is_event_done = False
        assert not watch.sees_overflow(latents, 1)
        assert not watch.sees_overflow(latents, 2)
        pretend_cuda.state.is_event_done = True
        assert watch.sees_overflow(latents, 3)
    assert waits == []
