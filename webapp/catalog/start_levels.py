"""What a page needs to show how noisy a start image becomes: a model's schedule in few numbers.

`static/js/start/noise.js` finds the first time that a strength keeps and reads the noise there.
"""

from functools import lru_cache
from typing import Any

from webapp.catalog.models import DiffusionModel
from webapp.catalog.schedules import FLOW, Schedule, schedule_of

POINTS = 64
DECIMALS = 5


def start_levels(model: DiffusionModel) -> dict[str, Any] | None:
    """{"alpha_bars", "times", "spacing", "offset"} of a diffusion model, its alpha-bars at even
    distances from the first time to the last; {"shift"} of a flow; None if the model's files
    don't tell its schedule."""
    schedule = schedule_of(model)
    return None if schedule is None else _facts(schedule)


@lru_cache(maxsize=64)
def _facts(schedule: Schedule) -> dict[str, Any]:
    if schedule.name == FLOW:
        return {"shift": schedule.shift}
    last = schedule.times - 1
    bars = [schedule.alpha_bar(last * number / POINTS) for number in range(POINTS + 1)]
    return {
        "alpha_bars": [round(bar, DECIMALS) for bar in bars],
        "times": schedule.times,
        "spacing": schedule.spacing,
        "offset": schedule.offset,
    }
