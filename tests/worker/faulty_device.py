"""A worker imports this beside `worker.tasks`: its device is lost at the step that FAULT_STEP says.

FAULT_FILE: the fault comes to one process alone, the one that makes this file; without, to every
process. FAULT_PROMPT: only in calls with an image of this prompt. FAULT_HANGS: drawing threads
never come back from giving an image up.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from worker.drawing import Drawing
from worker.pipelines.runner import DiffusersRunner

WORDS = "CUDA error: unspecified launch failure"
_step = DiffusersRunner.step
_steps = 0
_is_lost = False


def _is_due(batch: Sequence[Any]) -> bool:
    global _steps
    prompt = os.environ.get("FAULT_PROMPT")
    if prompt and all(prompt not in denoising.request.prompt for denoising in batch):
        return False
    _steps += 1
    if _steps < int(os.environ.get("FAULT_STEP", "1")):
        return False
    return _takes_the_fault()


def _takes_the_fault() -> bool:
    file = os.environ.get("FAULT_FILE")
    if not file:
        return True
    try:
        Path(file).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def step(self: DiffusersRunner, batch: Sequence[Any], **named: Any) -> list[Exception | None]:
    global _is_lost
    _is_lost = _is_lost or _is_due(batch)
    if _is_lost:
        raise RuntimeError(WORDS)
    return _step(self, batch, **named)


def hang(_self: Drawing) -> None:
    threading.Event().wait()


DiffusersRunner.step = step  # type: ignore[method-assign]
if os.environ.get("FAULT_HANGS"):
    Drawing.give_back_counted = hang  # type: ignore[method-assign, assignment]
    import worker.ending

    worker.ending.ENDING_S = float(os.environ["FAULT_HANGS"])
