"""What comes of numbers that ran over: not-a-number, which stays so to the end."""

from collections.abc import Callable
from typing import Final

from torch import Tensor

from worker.engine.errors import Overflowed
from worker.pipelines.copies import start_asking

EVERY_STEPS: Final = 8


def overflowed() -> Overflowed:
    """The error for numbers that are none, with what an administrator can do."""
    return Overflowed(detail="not-a-number values; try DARKROOM_DTYPE=float32")


class Watch:
    """Whether latents are numbers still: asked after the first step, and after some later ones.
    What has become not-a-number once stays it, so nobody draws the other steps in vain."""

    def __init__(self) -> None:
        self._answer: Callable[[], bool | None] | None = None

    def sees_overflow(self, latents: Tensor, done: int) -> bool:
        """True if latents, these or those of a step before, hold what is no number. A device that
        goes on by itself is asked, and its answer heard after a later step."""
        if done == 1 or done % EVERY_STEPS == 0:
            self._answer = start_asking(latents.isfinite().all())
        are_numbers = self._answer() if self._answer else None
        if are_numbers is not None:
            self._answer = None
        return are_numbers is False
