"""Requests of the first run."""

import itertools
from typing import Any

from tests.device.machine import Model
from worker.engine.request import ImageRequest

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
