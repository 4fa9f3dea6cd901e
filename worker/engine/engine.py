"""The engine: one thread that owns the runner, and a safe door onto it for every other thread.

The thread goes round and round: drop what was cancelled, bring in a model if need be, admit and
encode, decode one finished image, take one denoiser call for the next batch. What is decided is
in `scheduler.py`; this file carries it out and keeps every promise made to callers.
"""

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import replace

from worker.config import EngineConfig
from worker.engine.asking import AskedRunner
from worker.engine.capacity import RowCap
from worker.engine.completing import Completions
from worker.engine.device_errors import device_lost, is_device_lost
from worker.engine.errors import (
    DeviceLost,
    EngineFailed,
    EngineStopped,
    OutOfMemory,
)
from worker.engine.job import Job, OnProgress, entry_of
from worker.engine.jobs import Jobs
from worker.engine.previewing import Previews
from worker.engine.request import BatchRows, ImageRequest, RenderedImage, Stage
from worker.engine.runner import Runner
from worker.engine.scheduler import Scheduler
from worker.engine.snapshot import EngineSnapshot

logger = logging.getLogger(__name__)


class Engine:
    """Renders submitted requests, fairest owner first, and resolves every future it hands out.

    `start()` begins work; `close()` ends it. Methods may be called from any thread. A device that
    is lost ends the engine, and all that it holds with `DeviceLost`; an error that none of its
    edges expects ends both with `EngineFailed`.
    """

    def __init__(self, runner: Runner, config: EngineConfig) -> None:
        self.config = config
        self._runner = runner
        self._asked = AskedRunner(runner, on_lost=self._note_loss)
        self._row_cap = RowCap(config.max_rows)
        self._scheduler = Scheduler(
            is_resident=runner.is_resident,
            has_room_for=self._asked.has_room_for,
            row_cap=self._row_cap.cap,
            turn_s=config.model_turn_s,
        )
        self._jobs = Jobs(self._scheduler)
        self._finished: deque[Job] = deque()  # denoised, not decoded
        self._last_call = (0, 0)  # rows, row cap
        self._called = (0, 0)  # how often, rows in all
        self._resident_model: str | None = None
        self._closed = False
        self._loss: DeviceLost | None = None
        self._ended_by: EngineFailed | None = None
        self._previews = Previews(runner, on_lost=self._note_loss)
        self._completions = Completions(runner, end=self._jobs.end, on_lost=self._note_loss)
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    def start(self) -> None:
        """Start the engine thread. Raises RuntimeError when started twice."""
        self._thread.start()

    def submit(
        self, request: ImageRequest, *, on_progress: OnProgress | None = None
    ) -> Future[RenderedImage]:
        """Return a future that resolves to the image or to an `EngineError`.

        `on_progress` is called once here with stage "waiting", then from the engine's threads; it
        must be quick, and what it raises is logged and dropped. `Future.cancel()` does nothing:
        use `cancel`. Raises `EngineStopped` while draining and `InvalidRequest` when the request
        id is already in the engine.
        """
        self._jobs.check_admissible(request)
        job = Job(request, on_progress, entry_of(request))
        job.future.set_running_or_notify_cancel()
        job.tell("waiting", 0, request.steps)
        # Checked again: the engine may have begun to drain while the listener was told.
        self._jobs.add(job)
        return job.future

    def cancel(self, request_id: str) -> bool:
        """Stop a request within one step; its future raises `Cancelled`.

        False when the engine does not hold the request, or is already stopping it.
        """
        return self._jobs.cancel(request_id)

    def drain(self, *, timeout_s: float) -> None:
        """Admit nothing more and return when nothing is in flight, after `timeout_s` at most.

        Waiting requests fail with `EngineStopped` at once. Those being rendered finish if their
        pace so far says that they can in time; the others fail too, within one step, and at the
        latest when the time is over, even if the runner never comes back.
        """
        deadline_s = time.monotonic() + timeout_s
        self._jobs.end_waiting(by_s=deadline_s)
        self._jobs.wait_until_none(by_s=deadline_s)
        self._jobs.give_all_back(EngineStopped())

    def close(self, *, timeout_s: float = 5.0) -> None:
        """Fail whatever is left with `EngineStopped` and end the engine's threads."""
        self.drain(timeout_s=0)
        with self._jobs.changed:
            self._closed = True
            self._jobs.changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._previews.close()
        self._completions.close()

    def wait_until_ended(self, *, timeout_s: float | None = None) -> bool:
        """True when the engine's thread has ended: closed, or by an error (`ended_by`). False when
        it still lives after `timeout_s`."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def ended_by(self) -> EngineFailed | None:
        """What ended the engine when nobody had closed it, with its detail; None otherwise."""
        return self._ended_by

    def stalled_s(self) -> float:
        """Seconds since the last sign of progress while work is in the engine; 0.0 when idle.

        Loading a large model is one long silence: judge it with that in mind.
        """
        return self._jobs.stalled_s()

    @property
    def row_cap(self) -> int:
        """Rows that the last denoiser call could have had; 0 before the first one."""
        return self._last_call[1]

    def snapshot(self) -> EngineSnapshot:
        """Return what the engine is doing now."""
        gauges = self._asked.gauges()
        current, queued = self._jobs.count()
        called = (*self._last_call, *self._called)
        return EngineSnapshot(current, queued, self._resident_model, *called, gauges=gauges)

    def _note_loss(self, error: BaseException) -> None:
        """From any thread: the device is lost, and the engine ends at its next round."""
        with self._jobs.changed:
            self._loss = self._loss or device_lost(error)
            self._jobs.changed.notify_all()

    # The engine thread

    def _work(self) -> None:
        try:
            self._runner.enter_thread()
            while self._wait_for_work():
                self._go_round()
        # Rust's libraries panic with a BaseException.
        except BaseException as error:
            logger.exception("the engine has ended")
            lost = device_lost(error) if is_device_lost(error) else None
            detail = f"{type(error).__name__}: {error}"
            self._ended_by = lost or EngineFailed(detail=detail)
            self._jobs.refuse()
            # Nobody may wait for a thread that is gone.
            self._jobs.give_all_back(self._ended_by)

    def _go_round(self) -> None:
        if self._loss is not None:
            raise self._loss
        self._jobs.drop_stopped()
        self._bring_in_model()
        for job in self._admitted():
            self._begin(job)
        self._decode_one()
        self._call_denoiser()

    def _wait_for_work(self) -> bool:
        """Wait until there is something to do; False when the engine is closed."""
        while not self._has_work() and self._runner.idle():
            pass
        with self._jobs.changed:
            self._jobs.changed.wait_for(self._has_work)
            return not self._closed

    def _has_work(self) -> bool:
        """Also True when the engine is closed, or its device is lost: then the work is to end."""
        with self._jobs.changed:
            return bool(
                self._closed or len(self._scheduler) or self._finished or self._loss is not None
            )

    def _bring_in_model(self) -> None:
        with self._jobs.changed:
            model = self._scheduler.next_model(time.monotonic())
            if model is None:
                return
            waiting = self._jobs.of_model(model)
        while self._finished and not self._asked.has_room_for(model):
            self._decode_one()  # before its model leaves
        for job in waiting:
            self._jobs.enter(job, "loading", job.done)
        began_s = time.monotonic()
        try:
            self._runner.make_resident(model)
        # The engine's edge: a model that cannot be loaded must not end the thread.
        except Exception as error:
            for job in waiting:
                self._jobs.fail(job, error)
            return
        self._resident_model = model.slug
        for job in waiting:
            job.load_s += time.monotonic() - began_s

    def _admitted(self) -> list[Job]:
        """Those admitted now that have not begun; one that was parked goes on as it is."""
        with self._jobs.changed:
            jobs = self._jobs.of(self._scheduler.admit(time.monotonic()))
        for job in jobs:
            if job.denoising is not None and job.stage == "loading":
                self._jobs.enter(job, "denoising", job.done)
        return [job for job in jobs if job.denoising is None]

    def _begin(self, job: Job) -> None:
        """Encode the prompt. Families without an adapter do that when it is their turn."""
        if not self._runner.can_step(job.request.model):
            job.entry.alone, job.entry.key = True, job.request.request_id
            return
        self._jobs.enter(job, "encoding", 0)
        job.begun_s = time.monotonic()
        try:
            job.denoising = job.run(lambda: self._asked.begin(job.request))
        except Exception as error:  # one bad request, whatever it raises, fails alone
            self._jobs.fail(job, error)
            return
        job.encode_s = time.monotonic() - job.begun_s
        with self._jobs.changed:
            job.entry.rows, job.entry.key = job.denoising.rows, job.denoising.key
            job.entry.calls_left = job.denoising.calls
        self._jobs.enter(job, "denoising", 0)
        self._previews.start(job, every=self.config.preview_every)

    def _decode_one(self) -> None:
        """Decode the image that was finished first: one, so that others' steps go on."""
        if not self._finished:
            return
        job = self._finished.popleft()
        denoising = job.denoising
        if job.stop_reason is not None or denoising is None:
            self._jobs.end(job, job.stop_reason or EngineStopped())
            return
        self._jobs.enter(job, "decoding", job.calls)
        began_s = time.monotonic()
        try:
            complete = job.run(lambda: self._asked.start_finish(job.request, denoising))
        except Exception as error:
            self._jobs.fail(job, error)
            return
        self._completions.start(job, complete, began_s=began_s)

    def _call_denoiser(self) -> None:
        with self._jobs.changed:
            jobs = self._jobs.of(self._scheduler.next_batch())
        if jobs and jobs[0].denoising is None:
            self._render_whole(jobs[0])
        elif jobs and self._runner.is_resident(jobs[0].request.model):  # no image made it go
            self._step(jobs)

    def _step(self, jobs: list[Job]) -> None:
        rows, shape = sum(job.entry.rows for job in jobs), jobs[0].entry.shape
        denoisings = [job.denoising for job in jobs if job.denoising]
        began_s = time.monotonic()
        for job in jobs:
            job.denoising_since_s = job.denoising_since_s or began_s
        is_exact = jobs[0].request.exact
        try:
            outcomes = self._runner.step(denoisings, shape=None if is_exact else shape)
        except Exception as error:
            self._recover(error, jobs)
            return
        for step in self._runner.step_times():
            self._row_cap.note(step.shape, rows=step.rows, seconds=step.seconds, way=step.way)
        if not is_exact:
            self._row_cap.note_memory(shape, self._asked.row_limit(denoisings[0]))
        self._jobs.note_progress()
        self._last_call = (rows, self._row_cap.cap(shape))
        self._called = (self._called[0] + 1, self._called[1] + rows)
        for job, failure in zip(jobs, outcomes, strict=True):
            if failure is not None:
                self._jobs.fail(job, failure)
            else:
                self._note_step(job, rows)

    def _recover(self, error: Exception, jobs: list[Job]) -> None:
        """Nothing has moved. Too large a call is halved, and that of one request gets one more try
        with all the room there is; a call that fails for another reason is taken again by each
        request alone, and whoever fails alone fails for good. Raises `DeviceLost`."""
        if is_device_lost(error):
            raise device_lost(error)
        if len(jobs) == 1 and isinstance(error, OutOfMemory) and not jobs[0].had_room_made:
            jobs[0].had_room_made = True
            jobs[0].run(lambda: self._asked.make_way(jobs[0].request, error))
        elif len(jobs) == 1:
            self._jobs.fail(jobs[0], error)
        elif isinstance(error, OutOfMemory):
            rows = sum(job.entry.rows for job in jobs)
            self._row_cap.note_out_of_memory(jobs[0].entry.shape, rows=rows)
        else:
            logger.warning("a batch of %d failed; its requests go on alone: %s", len(jobs), error)
            for job in jobs:
                job.entry.alone = True

    def _note_step(self, job: Job, rows: int) -> None:
        job.rows_seen += rows
        job.had_room_made = False
        job.most_rows = max(job.most_rows, rows)
        with self._jobs.changed:
            self._scheduler.charge(job.entry)
            job.entry.alone = job.request.exact  # it went well: not the one that broke a batch
            if job.done >= job.calls:
                job.denoised_s = time.monotonic()
                self._scheduler.remove(job.entry)
                self._finished.append(job)
        job.tell("denoising", job.done, job.calls)
        self._previews.start(job, every=self.config.preview_every)

    def _render_whole(self, job: Job) -> None:
        """One image from beginning to end, for families that have no adapter."""
        job.begun_s = time.monotonic()

        def on_step(stage: Stage, step: int, steps: int, preview: bytes | None) -> None:
            job.stage = stage
            self._jobs.note_progress()
            job.tell(stage, step, steps, preview, None if preview is None else step)

        try:
            image = job.run(
                lambda: self._asked.render(
                    job.request, on_step=on_step, should_stop=job.should_stop
                )
            )
        except Exception as error:
            self._jobs.fail(job, error)
            return
        with self._jobs.changed:
            self._scheduler.charge(job.entry, calls=job.entry.calls_left)
        timings = replace(image.timings, wait_s=job.waited_s(), load_s=job.load_s)
        rows = BatchRows(float(job.entry.rows), job.entry.rows)
        self._jobs.end(job, replace(image, timings=timings, rows=rows))
