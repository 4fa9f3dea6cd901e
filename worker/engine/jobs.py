"""The jobs that the engine holds: each from the moment it is taken until its future is resolved."""

import threading
import time
from collections.abc import Iterable

from worker.engine.device_errors import device_lost, is_device_lost
from worker.engine.errors import Cancelled, EngineError, EngineStopped, InvalidRequest
from worker.engine.job import Job
from worker.engine.request import ImageRequest, ModelSource, RenderedImage, Stage
from worker.engine.scheduler import Scheduled, Scheduler


class Jobs:
    """Every unresolved job, in the scheduler's queues and out of them. Methods may be called from
    any thread; whoever asks the scheduler itself holds `changed`, which tells of all that moves."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.changed = threading.Condition()
        self._scheduler = scheduler
        self._held: dict[str, Job] = {}  # request_id -> its job
        self._accepting = True
        self._progressed_s = time.monotonic()

    def check_admissible(self, request: ImageRequest) -> None:
        """None for a request that may be added; raises `EngineStopped` while draining and
        `InvalidRequest` when its id is already in the engine."""
        with self.changed:
            if not self._accepting:
                raise EngineStopped
            if request.request_id in self._held:
                raise InvalidRequest(f"Request {request.request_id} is already in the engine.")

    def add(self, job: Job) -> None:
        """Take the job in and queue it; raises as `check_admissible`."""
        with self.changed:
            self.check_admissible(job.request)
            if not self._held:
                self._progressed_s = time.monotonic()
            self._held[job.request.request_id] = job
            self._scheduler.add(job.entry)
            self.changed.notify_all()

    def cancel(self, request_id: str) -> bool:
        """See `Engine.cancel`."""
        with self.changed:
            job = self._held.get(request_id)
            if job is None or job.taken or job.stop_reason is not None:
                return False
            job.stop(Cancelled())
            is_waiting = job.is_waiting
            if is_waiting:
                self._scheduler.remove(job.entry)
            self.changed.notify_all()
        if is_waiting:
            self._resolve(job, Cancelled())
        return True

    def refuse(self) -> None:
        """Take no more in."""
        with self.changed:
            self._accepting = False

    def end_waiting(self, *, by_s: float) -> None:
        """Take no more in, fail what is waiting, and stop what cannot finish before `by_s`
        (monotonic)."""
        with self.changed:
            self._accepting = False
            waiting = [job for job in self._held.values() if job.is_waiting]
            for job in waiting:
                self._scheduler.remove(job.entry)
            for job in self._held.values():
                if not job.can_finish(by_s=by_s):
                    job.stop(EngineStopped())
            self.changed.notify_all()
        for job in waiting:
            self._resolve(job, EngineStopped())

    def wait_until_none(self, *, by_s: float) -> None:
        """Return when every job is resolved, at `by_s` (monotonic) at the latest."""
        with self.changed:
            self.changed.wait_for(lambda: not self._held, timeout=by_s - time.monotonic())

    def give_all_back(self, reason: EngineStopped) -> None:
        """End all that is left with `reason`, or with why it was to end before."""
        with self.changed:
            left = list(self._held.values())
            for job in left:
                job.stop(reason)
        for job in left:
            self._resolve(job, job.stop_reason or reason)

    def drop_stopped(self) -> None:
        """End those that were told to stop."""
        with self.changed:
            stopped = [job for job in self._held.values() if job.stop_reason and not job.taken]
        for job in stopped:
            self.end(job, job.stop_reason or EngineStopped())

    def of(self, entries: Iterable[Scheduled]) -> list[Job]:
        """The jobs of what the scheduler has chosen; the caller holds `changed`."""
        return [self._held[entry.request_id] for entry in entries]

    def of_model(self, model: ModelSource) -> list[Job]:
        """Those that are drawn with the model; the caller holds `changed`."""
        return [job for job in self._held.values() if job.request.model == model]

    def count(self) -> tuple[tuple[str, ...], int]:
        """The ids of those under way, and how many wait."""
        with self.changed:
            current = tuple(name for name, job in self._held.items() if not job.is_waiting)
            return current, len(self._held) - len(current)

    def stalled_s(self) -> float:
        """Seconds since the last sign of progress; 0.0 without a job."""
        with self.changed:
            return time.monotonic() - self._progressed_s if self._held else 0.0

    def note_progress(self) -> None:
        """A sign of life: the engine has not stalled."""
        self._progressed_s = time.monotonic()

    def enter(self, job: Job, stage: Stage, step: int) -> None:
        """The job's next stage, told to its listener."""
        job.stage = stage
        self.note_progress()
        job.tell(stage, step, job.calls)

    def fail(self, job: Job, error: Exception) -> None:
        """End one request with what it raised. Raises `DeviceLost` if that ends them all."""
        if is_device_lost(error):
            raise device_lost(error)
        self.end(job, job.as_engine_error(error))

    def end(self, job: Job, outcome: RenderedImage | EngineError) -> None:
        """Resolve the job with `outcome`, unless it was to end otherwise (`Job.verdict`)."""
        with self.changed:
            self.note_progress()
            self._scheduler.remove(job.entry)
            outcome = job.verdict(outcome)
        self._resolve(job, outcome)

    def _resolve(self, job: Job, outcome: RenderedImage | EngineError) -> None:
        """Set the future, outside the lock because its callbacks are other people's code."""
        with self.changed:
            # Race: drain() gives up on a runner that then comes back with its own outcome.
            if job.taken:
                return
            job.taken = True
        if isinstance(outcome, EngineError):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)
        with self.changed:
            self._scheduler.remove(job.entry)
            self._held.pop(job.request.request_id)
            self.changed.notify_all()
