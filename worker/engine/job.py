"""A request inside the engine: what the thread knows of it, and what follows from that."""

import logging
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import TypeVar

from worker.engine.errors import Cancelled, EngineError
from worker.engine.request import BatchRows, ImageRequest, Progress, RenderedImage, Stage, Timings
from worker.engine.runner import Denoising
from worker.engine.scheduler import Scheduled

logger = logging.getLogger(__name__)

LEAST_PREVIEWS = 6
OnProgress = Callable[[Progress], None]
Answer = TypeVar("Answer")


@dataclass(slots=True, eq=False)
class Job:
    """One submitted request. The engine thread writes it, but for `stop_reason` and `taken`."""

    request: ImageRequest
    on_progress: OnProgress | None
    entry: Scheduled
    future: Future[RenderedImage] = field(default_factory=Future)
    # Of whoever submitted it, so that what is logged for it says for whom.
    context: Context = field(default_factory=copy_context)
    submitted_s: float = field(default_factory=time.monotonic)
    stop_reason: EngineError | None = None
    # True once somebody has undertaken to resolve the future: exactly one thread may.
    taken: bool = False
    stage: Stage = "waiting"
    denoising: Denoising | None = None
    begun_s: float | None = None  # when its own work began: encoding, or the whole image
    denoising_since_s: float | None = None
    denoised_s: float | None = None
    load_s: float = 0.0
    encode_s: float = 0.0
    rows_seen: int = 0
    most_rows: int = 0
    previewing: bool = False
    had_room_made: bool = False  # the call after it ran out of memory is its last try

    @property
    def is_waiting(self) -> bool:
        """True until the engine does anything for this request alone."""
        return self.stage in {"waiting", "loading"}

    @property
    def calls(self) -> int:
        """Denoiser calls in all; the steps asked for until the sampler is known."""
        return self.denoising.calls if self.denoising else self.request.steps

    @property
    def done(self) -> int:
        """Denoiser calls made so far; 0 before its first step."""
        return self.denoising.done if self.denoising else 0

    def stop(self, reason: EngineError) -> None:
        """Say why it is to end; the first reason stands."""
        if self.stop_reason is None:
            self.stop_reason = reason

    def should_stop(self) -> bool:
        """True once `stop` was called: the request ends at the next step."""
        return self.stop_reason is not None

    def run(self, act: Callable[[], Answer]) -> Answer:
        """What `act` returns, called for this request: what it logs says so."""
        return self.context.copy().run(act)  # a copy: several threads may work for it at once

    def tell(
        self,
        stage: Stage,
        step: int,
        steps: int,
        preview: bytes | None = None,
        preview_step: int | None = None,
    ) -> None:
        """Call the listener, unless the request has come to its end."""
        if self.on_progress is None or self.future.done():
            return
        name = self.request.request_id
        try:
            self.on_progress(Progress(name, stage, step, steps, preview, preview_step))
        # A listener's bug is not the image's problem.
        except Exception as error:
            self.log_error("progress of request %s was not told", error)

    def needs_preview(self, *, every: int) -> bool:
        """True if a preview is due and somebody hears of it, 0 being never.

        A run begins with one of its noise, and gets six if it has the steps for them: they are
        kept as its strip of previews, and an image of four steps is to have one too.
        """
        if self.on_progress is None or self.previewing or self.done >= self.calls:
            return False
        every = min(every, max(1, self.calls // LEAST_PREVIEWS))
        return bool(every) and self.done % every == 0

    def can_finish(self, *, by_s: float) -> bool:
        """True when the calls left fit before `by_s` (monotonic) at the pace so far."""
        if self.denoising_since_s is None or self.done == 0:
            return False
        now_s = time.monotonic()
        call_s = (now_s - self.denoising_since_s) / self.done
        return now_s + call_s * (self.calls - self.done) <= by_s

    def timings(self, *, decode_s: float) -> Timings:
        """Seconds by stage of an image that was stepped; time parked or behind others' steps
        counts as denoising."""
        began_s = self.denoising_since_s or 0.0
        return Timings(
            wait_s=self.waited_s(),
            load_s=self.load_s,
            encode_s=self.encode_s,
            denoise_s=(self.denoised_s or began_s) - began_s,
            decode_s=decode_s,
        )

    def waited_s(self) -> float:
        """Seconds from submission until its own work began, loading apart."""
        return max(0.0, (self.begun_s or self.submitted_s) - self.submitted_s - self.load_s)

    def rows(self) -> BatchRows:
        """Rows of the calls that it took part in."""
        return BatchRows(self.rows_seen / max(1, self.done), self.most_rows)

    def verdict(self, outcome: RenderedImage | EngineError) -> RenderedImage | EngineError:
        """A cancelled job is cancelled even if its image was ready; a drained one keeps it."""
        if isinstance(self.stop_reason, Cancelled):
            return self.stop_reason
        if isinstance(outcome, RenderedImage):
            return outcome
        return self.stop_reason or outcome

    def as_engine_error(self, error: BaseException) -> EngineError:
        """`error`, or an `EngineError` around what nobody expected."""
        if isinstance(error, EngineError):
            return error
        self.log_error("request %s failed unexpectedly", error)
        wrapped = EngineError(detail=f"{type(error).__name__}: {error}")
        wrapped.__cause__ = error
        return wrapped

    def log_error(self, sentence: str, error: BaseException) -> None:
        """Writes the sentence, which has a place for the request's id, and the error's traceback
        into the log."""
        self.run(lambda: logger.error(sentence, self.request.request_id, exc_info=error))


def entry_of(request: ImageRequest) -> Scheduled:
    """What the scheduler knows of a request before it is encoded."""
    shape: Hashable = (request.model, request.loras, request.width_px, request.height_px)
    return Scheduled(
        request_id=request.request_id,
        owner_id=request.owner_id,
        model=request.model,
        shape=(shape, request.request_id) if request.exact else shape,
        rows=2 if request.guidance_scale > 1 else 1,
        pixels=request.width_px * request.height_px,
        calls_left=request.steps,
        since_s=time.monotonic(),
        alone=request.exact,
    )
