"""The engine: one thread that owns the runner, and a safe door onto it for every other thread."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from worker.config import EngineConfig
from worker.engine.errors import Cancelled, EngineError, EngineStopped, InvalidRequest
from worker.engine.request import ImageRequest, Progress, RenderedImage, Stage
from worker.engine.runner import Runner
from worker.engine.scheduler import FairQueue, cost_of

logger = logging.getLogger(__name__)

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class EngineSnapshot:
    """What the engine is doing: ids being rendered, how many wait, the model last made ready."""

    in_flight: tuple[str, ...]
    queued: int
    resident_model: str | None


@dataclass(slots=True, eq=False)
class _Job:
    request: ImageRequest
    on_progress: OnProgress | None
    future: Future[RenderedImage] = field(default_factory=Future)
    submitted_at: float = field(default_factory=time.monotonic)
    stop_reason: EngineError | None = None
    denoising_since: float | None = None
    steps_done: int = 0
    # True once somebody has undertaken to resolve the future: exactly one thread may.
    taken: bool = False


class Engine:
    """Renders submitted requests, fairest owner first, and resolves every future it hands out.

    `start()` begins work; `close()` ends it. Methods may be called from any thread.
    """

    def __init__(self, runner: Runner, config: EngineConfig) -> None:
        self.config = config
        self._runner = runner
        self._changed = threading.Condition()
        self._queue = FairQueue()
        self._jobs: dict[str, _Job] = {}  # request_id -> every unresolved job
        self._current: _Job | None = None
        self._resident_model: str | None = None
        self._accepting = True
        self._closed = False
        self._progressed_at = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    def start(self) -> None:
        """Start the engine thread. Raises RuntimeError when started twice."""
        self._thread.start()

    def submit(
        self, request: ImageRequest, *, on_progress: OnProgress | None = None
    ) -> Future[RenderedImage]:
        """Return a future that resolves to the picture or to an `EngineError`.

        `on_progress` is called once here with stage "waiting", then from the engine thread; it
        must be quick, and what it raises is logged and dropped. `Future.cancel()` does nothing:
        use `cancel`. Raises `EngineStopped` while draining and `InvalidRequest` when the request
        id is already in the engine.
        """
        self._check_admissible(request)
        job = _Job(request, on_progress)
        job.future.set_running_or_notify_cancel()
        self._report(job, "waiting", 0, request.steps, None)
        with self._changed:
            # Again: the engine may have begun to drain while the listener was told.
            self._check_admissible(request)
            self._admit(job)
        return job.future

    def cancel(self, request_id: str) -> bool:
        """Stop a request within one step; its future raises `Cancelled`.

        False when the engine does not hold the request, or is already stopping it.
        """
        with self._changed:
            job = self._jobs.get(request_id)
            if job is None or job.taken or job.stop_reason is not None:
                return False
            job.stop_reason = Cancelled()
            was_waiting = self._queue.remove(request_id)
        if was_waiting:
            self._resolve(job, job.stop_reason)
        return True

    def drain(self, *, timeout_s: float) -> None:
        """Admit nothing more and return when nothing is in flight, after `timeout_s` at most.

        Waiting requests fail with `EngineStopped` at once. The one being rendered finishes if its
        pace so far says that it can in time; otherwise it fails too, within one step, and at the
        latest when the time is over, even if the runner never comes back.
        """
        deadline = time.monotonic() + timeout_s
        for job in self._stop_admitting(deadline):
            self._resolve(job, EngineStopped())
        with self._changed:
            self._changed.wait_for(lambda: not self._jobs, timeout=deadline - time.monotonic())
            self._stop_current()
            left = list(self._jobs.values())
        for job in left:
            self._resolve(job, job.stop_reason or EngineStopped())

    def close(self, *, timeout_s: float = 5.0) -> None:
        """Fail whatever is left with `EngineStopped` and end the engine thread."""
        self.drain(timeout_s=0)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def stalled_s(self) -> float:
        """Seconds since the last sign of progress while work is in the engine; 0.0 when idle.

        Loading a large model is one long silence: judge it with that in mind.
        """
        with self._changed:
            return time.monotonic() - self._progressed_at if self._jobs else 0.0

    def snapshot(self) -> EngineSnapshot:
        """Return what the engine is doing now."""
        with self._changed:
            current = (self._current.request.request_id,) if self._current else ()
            return EngineSnapshot(current, len(self._queue), self._resident_model)

    def _check_admissible(self, request: ImageRequest) -> None:
        with self._changed:
            if not self._accepting:
                raise EngineStopped
            if request.request_id in self._jobs:
                raise InvalidRequest(f"Request {request.request_id} is already in the engine.")

    def _admit(self, job: _Job) -> None:
        if not self._jobs:
            self._progressed_at = time.monotonic()
        request = job.request
        self._jobs[request.request_id] = job
        self._queue.push(
            request_id=request.request_id, owner_id=request.owner_id, cost=cost_of(request)
        )
        self._changed.notify_all()

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            outcome = self._render(job)
            with self._changed:
                self._current = None
                self._progressed_at = time.monotonic()
                outcome = _verdict(job, outcome)
            self._resolve(job, outcome)

    def _next_job(self) -> _Job | None:
        """Wait for a job and make it current; None when the engine is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._queue) > 0)
            request_id = self._queue.pop()
            if request_id is None:
                return None
            self._current = self._jobs[request_id]
            self._progressed_at = time.monotonic()
            return self._current

    def _render(self, job: _Job) -> RenderedImage | EngineError:
        wait_s = time.monotonic() - job.submitted_at

        def on_step(stage: Stage, step: int, steps: int, preview: bytes | None) -> None:
            self._note_step(job, stage, step)
            self._report(job, stage, step, steps, preview)

        try:
            image = self._runner.render(
                job.request, on_step=on_step, should_stop=lambda: job.stop_reason is not None
            )
            return replace(image, timings=replace(image.timings, wait_s=wait_s))
        except EngineError as error:
            return error
        # The engine's edge: one bad request, whatever it raises, must not end the thread.
        except Exception as error:
            logger.exception("request %s failed unexpectedly", job.request.request_id)
            return _wrapped(error)

    def _note_step(self, job: _Job, stage: Stage, step: int) -> None:
        with self._changed:
            now = time.monotonic()
            self._progressed_at = now
            job.steps_done = step
            if stage != "loading":
                self._resident_model = job.request.model.slug
            if stage == "denoising" and job.denoising_since is None:
                job.denoising_since = now

    def _report(
        self, job: _Job, stage: Stage, step: int, steps: int, preview: bytes | None
    ) -> None:
        if job.on_progress is None or job.future.done():
            return
        try:
            job.on_progress(Progress(job.request.request_id, stage, step, steps, preview))
        # A listener's bug is not the picture's problem.
        except Exception:
            logger.exception("progress of request %s could not be told", job.request.request_id)

    def _stop_admitting(self, deadline: float) -> list[_Job]:
        """Return the jobs that were waiting; stop the current one unless it can finish."""
        with self._changed:
            self._accepting = False
            waiting = []
            while (request_id := self._queue.pop()) is not None:
                waiting.append(self._jobs[request_id])
            if self._current and not _can_finish(self._current, by=deadline):
                self._stop_current()
            return waiting

    def _resolve(self, job: _Job, outcome: RenderedImage | EngineError) -> None:
        """Set the future, outside the lock because its callbacks are other people's code."""
        with self._changed:
            # Race: drain() gives up on a runner that then comes back with its own outcome.
            if job.taken:
                return
            job.taken = True
        if isinstance(outcome, EngineError):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)
        with self._changed:
            self._jobs.pop(job.request.request_id)
            self._changed.notify_all()

    def _stop_current(self) -> None:
        if self._current and self._current.stop_reason is None:
            self._current.stop_reason = EngineStopped()


def _verdict(job: _Job, outcome: RenderedImage | EngineError) -> RenderedImage | EngineError:
    """A cancelled job is cancelled even if its picture was ready; a drained one keeps it."""
    if isinstance(job.stop_reason, Cancelled):
        return job.stop_reason
    if isinstance(outcome, RenderedImage):
        return outcome
    return job.stop_reason or outcome


def _can_finish(job: _Job, *, by: float) -> bool:
    """True when the steps left fit before `by` (monotonic seconds) at the pace so far."""
    if job.denoising_since is None or job.steps_done == 0:
        return False
    now = time.monotonic()
    step_s = (now - job.denoising_since) / job.steps_done
    return now + step_s * (job.request.steps - job.steps_done) <= by


def _wrapped(error: Exception) -> EngineError:
    wrapped = EngineError(detail=f"{type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
