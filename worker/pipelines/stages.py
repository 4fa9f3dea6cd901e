"""The clock of one request: which stage it is in, how long each took, and when to stop."""

import time

from worker.engine.errors import Cancelled
from worker.engine.request import Stage, Timings
from worker.engine.runner import OnStep, ShouldStop


class StageClock:
    """Reports stages and steps of one request and times them. Used by one thread."""

    def __init__(self, steps: int, *, on_step: OnStep, should_stop: ShouldStop) -> None:
        self._steps = steps
        self._on_step = on_step
        self._should_stop = should_stop
        self._seconds: dict[Stage, float] = {}
        self._stage: Stage = "loading"
        self._since = time.perf_counter()

    @property
    def stage(self) -> Stage:
        """The stage entered last."""
        return self._stage

    def enter(self, stage: Stage) -> None:
        """End the stage before and begin `stage`. Raises `Cancelled` when told to stop."""
        self.check()
        self._close_stage()
        self._stage = stage
        self._on_step(stage, self._steps if stage == "decoding" else 0, self._steps, None)

    def step_done(self, step: int, preview: bytes | None) -> None:
        """Report that `step` steps are done, with a WebP of the latents or None. Raises `Cancelled`
        when told to stop."""
        self._on_step("denoising", step, self._steps, preview)
        self.check()

    def check(self) -> None:
        """Raise `Cancelled` when told to stop."""
        if self._should_stop():
            raise Cancelled

    def timings(self) -> Timings:
        """End the last stage and return the seconds of each; waiting is not known here."""
        self._close_stage()
        spent = self._seconds
        return Timings(
            load_s=spent.get("loading", 0.0),
            encode_s=spent.get("encoding", 0.0),
            denoise_s=spent.get("denoising", 0.0),
            decode_s=spent.get("decoding", 0.0),
        )

    def _close_stage(self) -> None:
        now = time.perf_counter()
        self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + now - self._since
        self._since = now
