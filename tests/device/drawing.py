"""Requests of the first run, and their steps with the runner alone."""

import itertools
from collections.abc import Sequence
from typing import Any

from tests.device.machine import Model
from worker.engine.request import ImageRequest
from worker.pipelines.denoising import Denoising
from worker.pipelines.runner import DiffusersRunner

_numbers = itertools.count()


def request_for(model: Model, **changes: Any) -> ImageRequest:
    """A guided request of the model's own size."""
    is_flow = model.source.family in {"sd3", "flux"}
    values: dict[str, Any] = {
        "request_id": f"request-{next(_numbers)}",
        "owner_id": "alice",
        "model": model.source,
        "prompt": "a lighthouse at dusk",
        "negative_prompt": "" if model.source.family == "flux" else "blurry",
        "width_px": model.side_px,
        "height_px": model.side_px,
        "steps": 8,
        "guidance_scale": 5.0,
        "seed": 7,
        "sampler": "flow_euler" if is_flow else "euler",
    }
    return ImageRequest(**(values | changes))


def begin(runner: DiffusersRunner, request: ImageRequest) -> Denoising:
    """The request, ready for its first step."""
    runner.make_resident(request.model)
    return runner.begin(request)


def step(runner: DiffusersRunner, batch: Sequence[Denoising], *, shape: Any = None) -> None:
    """One step of all; raises what any of them raised."""
    for failure in runner.step(batch, shape=shape):
        if failure is not None:
            raise failure


def step_all(runner: DiffusersRunner, batch: Sequence[Denoising]) -> None:
    """All steps; who is done leaves the batch."""
    while under_way := [each for each in batch if each.done < each.calls]:
        step(runner, under_way)
