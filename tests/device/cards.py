"""Section: how cards smaller than this one would do."""

import time
from typing import Any

import torch

from tests.device.drawing import request_for
from tests.device.machine import Machine, Model
from tests.pipelines.drawing import begin, step_all
from worker.engine.errors import EngineError
from worker.pipelines.memory import release_memory
from worker.pipelines.runner import DiffusersRunner

GB = 1 << 30
CARDS_GB = (12, 24)
FIRST_STEPS = 3


def small_cards(machine: Machine) -> dict[str, Any]:
    """On a share of this device's memory: SDXL at three sizes, two models in turn, and a model
    that is too large; what an image was decoded by, or why there is none."""
    if not machine.is_real:
        return {"12 GB": _card(machine, budget=12 * GB)}
    total = torch.cuda.get_device_properties(0).total_memory
    found = {}
    for gigabytes in CARDS_GB:
        torch.cuda.set_per_process_memory_fraction(gigabytes * GB / total)
        found[f"{gigabytes} GB"] = _card(machine, budget=int(gigabytes * GB * 0.7))
        release_memory()
    torch.cuda.set_per_process_memory_fraction(1.0)
    return found


def _card(machine: Machine, *, budget: int) -> dict[str, Any]:
    runner = machine.runner(model_memory=budget)
    large, small = machine.large("sdxl"), machine.large("sd15")
    sides = (1024, 1536, 2048) if machine.is_real else (64, 128)
    found: dict[str, Any] = {f"sdxl {side} px": _drawn(runner, large, side) for side in sides}
    found["two models in turn, s"] = [
        _seconds_to_bring(runner, each) for each in 2 * (small, large)
    ]
    found["too large a model"] = _refused(machine, large)
    return found


def _drawn(runner: DiffusersRunner, model: Model, side_px: int) -> dict[str, Any] | str:
    """How the image was decoded, and its seconds."""
    began_s = time.perf_counter()
    try:
        drawn = begin(
            runner, request_for(model, width_px=side_px, height_px=side_px, steps=FIRST_STEPS)
        )
        step_all(runner, [drawn])
        fingerprint = runner.finish(drawn).fingerprint
    except EngineError as error:
        return f"{type(error).__name__}: {error}"
    seconds = round(time.perf_counter() - began_s, 2)
    return {"decoded": fingerprint.get("decoded", ""), "seconds": seconds}


def _seconds_to_bring(runner: DiffusersRunner, model: Model) -> float:
    began_s = time.perf_counter()
    runner.make_resident(model.source)
    return round(time.perf_counter() - began_s, 2)


def _refused(machine: Machine, model: Model) -> str:
    """What is said of a model that the device can never hold."""
    runner = machine.runner(model_memory=1)
    try:
        runner.make_resident(model.source)
    except EngineError as error:
        return f"{type(error).__name__}: {error}"
    return "it was loaded"
