"""A worker imports this beside `worker.tasks`: its device raises from the denoiser call on that
FAULT_STEP says.

FAULT_WORDS: what it says; a lost device if unset. FAULT_TIMES: so many calls raise, and the next
ones work again; all do if unset. FAULT_FILE: the fault comes to one process alone, the one that
makes this file; without, to every process. FAULT_PROMPT: only in calls with an image of this
prompt. FAULT_HANGS: drawing threads never come back from giving an image up, and the process has
so many seconds to end.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import worker.ending
from worker.drawing import Drawing
from worker.pipelines import denoising

WORDS = os.environ.get("FAULT_WORDS", "CUDA error: unspecified launch failure")
_step = denoising.step
_steps = 0
_left: float | None = None  # faults; None before the first


def _is_due(batch: Sequence[Any]) -> bool:
    global _steps
    prompt = os.environ.get("FAULT_PROMPT")
    if prompt and all(prompt not in denoising.request.prompt for denoising in batch):
        return False
    _steps += 1
    return _steps >= int(os.environ.get("FAULT_STEP", "1")) and _takes_the_fault()


def _takes_the_fault() -> bool:
    file = os.environ.get("FAULT_FILE")
    if not file:
        return True
    try:
        Path(file).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def step(batch: Sequence[Any], *rest: Any, **named: Any) -> list[Exception | None]:
    global _left
    if _left is None and _is_due(batch):
        _left = float(os.environ.get("FAULT_TIMES", "inf"))
    if _left:
        _left -= 1
        raise RuntimeError(WORDS)
    return _step(batch, *rest, **named)


def hang(_self: Drawing) -> None:
    threading.Event().wait()


denoising.step = step
if os.environ.get("FAULT_HANGS"):
    Drawing.give_back_counted = hang  # type: ignore[method-assign, assignment]
    worker.ending.ENDING_S = float(os.environ["FAULT_HANGS"])
