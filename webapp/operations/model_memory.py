"""What a model needs of a device, beside what the workers' devices have: said when one is
enabled. The sizes are read from the files' headers, in a process of the worker's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _

from webapp.catalog.models import DiffusionModel
from webapp.core.connections import let_go_of_database
from webapp.generation.queueing.heartbeat import list_workers
from webapp.operations.worker_modules import ask_worker_briefly

LIMIT_S: Final = 10.0

# bytes of a number, as JSON names it -> manner of loading -> bytes of a device
Needs = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """`needed` and `largest`: bytes that the model takes of a device at least, and that the
    worker's with the most room has for one. `fits`: whether a worker has room for it."""

    needed: int
    largest: int
    fits: bool

    @property
    def sentence(self) -> str:
        """Both figures in one sentence, which says if the model's images will fail."""
        figures = {"needed": gigabytes(self.needed), "largest": gigabytes(self.largest)}
        if self.fits:
            told = _(
                "It needs %(needed)s GB of device memory; the largest device of a worker has "
                "room for %(largest)s GB."
            )
        else:
            told = _(
                "It needs %(needed)s GB of device memory, but the largest device of a worker "
                "has room for %(largest)s GB: its images will fail."
            )
        return told % figures


def model_memory(*, model: DiffusionModel) -> ModelMemory | None:
    """None if no worker is there to compare with, or the files tell nothing. To be called outside
    transactions: files are read."""
    workers = [worker for worker in list_workers() if worker.get("model_room")]
    if not workers or not model.is_installed:
        return None
    let_go_of_database()
    found = ask_worker_briefly("inspect", "--needs", model.path, limit_s=LIMIT_S)
    return _compared(found["needs"], workers) if found and found["usable"] else None


def _compared(needs: Needs, workers: Sequence[dict[str, Any]]) -> ModelMemory:
    least = [(_least(needs, worker), int(worker["model_room"])) for worker in workers]
    needed, largest = max(least, key=lambda both: both[1])
    return ModelMemory(needed, largest, any(needed <= room for needed, room in least))


def _least(needs: Needs, worker: dict[str, Any]) -> int:
    """Bytes that this worker needs at least, by how it may load."""
    of_manner = needs[str(worker["itemsize"])]
    return min(of_manner[manner] for manner in worker["manners"] if manner in of_manner)


def gigabytes(count: int) -> str:
    """Of 10^9 bytes, with one digit: "33.7"; of less than a tenth two, rounded up: "0.01"."""
    return f"{count / 1e9:.1f}" if count >= 1e8 else f"{math.ceil(count / 1e7) / 100:.2f}"
