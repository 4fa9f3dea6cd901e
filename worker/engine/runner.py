"""What the engine needs of whatever makes pictures."""

from collections.abc import Callable
from typing import Protocol

from worker.engine.request import ImageRequest, RenderedImage, Stage

OnStep = Callable[[Stage, int, int, bytes | None], None]
ShouldStop = Callable[[], bool]


class Runner(Protocol):
    """Makes one picture at a time. Only the engine thread calls it."""

    def render(
        self, request: ImageRequest, *, on_step: OnStep, should_stop: ShouldStop
    ) -> RenderedImage:
        """Return the picture; `timings.wait_s` is left to the engine.

        Calls `on_step(stage, step, steps, preview)` at the start of each stage and after each
        step, and asks `should_stop()` at least once per step. Raises `Cancelled` when told to
        stop, another `EngineError` when the picture cannot be made.
        """
        ...
