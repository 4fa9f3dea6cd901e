"""Section: what becomes of images when the device fails under them. The last one: on a real device
it leaves a process that can do nothing more."""

import time
from concurrent.futures import Future
from typing import Any

import torch

from tests.device.drawing import request_for
from tests.device.machine import Machine
from tests.device.speed import engine_of
from worker.engine.request import RenderedImage
from worker.pipelines.runner import DiffusersRunner

IMAGES = 8
WAIT_S = 60.0


def no_room_for_a_preview(machine: Machine) -> dict[str, Any]:
    """The allocation of a preview fails: the image is drawn all the same."""
    runner = machine.runner(preview_every=1)

    def fail(denoising: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory, as this test has it")

    runner.start_preview = fail  # type: ignore[method-assign]
    with engine_of(runner) as engine:
        future = engine.submit(request_for(machine.tiny("sd")), on_progress=lambda _: None)
        return {"image": _outcome(future)}


def lost_device(machine: Machine) -> dict[str, Any]:
    """A kernel reads past its tensor while eight images are drawn (elsewhere than on CUDA an error
    with the same words is raised): all are given back, and the engine ends."""
    runner = _failing(machine, machine.runner(), after=10)
    with engine_of(runner) as engine:
        futures = [
            engine.submit(request_for(machine.tiny("sd"), owner_id=f"user-{n}", steps=30))
            for n in range(IMAGES)
        ]
        outcomes = [_outcome(future) for future in futures]
        deadline_s = time.monotonic() + WAIT_S
        while engine._thread.is_alive() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        return {"images": outcomes, "the engine has ended": not engine._thread.is_alive()}


def _failing(machine: Machine, runner: DiffusersRunner, *, after: int) -> DiffusersRunner:
    """The runner, whose device is lost at that step."""
    steps, taken = 0, runner.step

    def step(batch: Any, *, shape: Any = None) -> Any:
        nonlocal steps
        steps += 1
        if steps == after:
            _lose(machine)
        return taken(batch, shape=shape)

    runner.step = step  # type: ignore[method-assign]
    return runner


def _lose(machine: Machine) -> None:
    if not machine.is_real:
        raise RuntimeError("CUDA error: device-side assert triggered")
    torch.zeros(1, device="cuda")[torch.tensor([5], device="cuda")]
    torch.cuda.synchronize()


def _outcome(future: Future[RenderedImage]) -> str:
    try:
        future.result(WAIT_S)
    except Exception as error:
        return type(error).__name__
    return "drawn"
