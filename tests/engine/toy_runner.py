"""A runner without a model: policy and promises are tested on it, images elsewhere."""

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, cast

from worker.engine.errors import Cancelled, EngineError, ModelUnavailable, OutOfMemory
from worker.engine.request import ImageRequest, ModelSource, RenderedImage, Stage, Timings
from worker.engine.runner import CallTime, Denoising, OnStep, RunnerGauges, ShouldStop

WAIT_S = 15.0
MODEL = ModelSource("toy", "sd", "folder", "toy")
OTHER = ModelSource("other", "sd", "folder", "other")
PLAIN = ModelSource("plain", "other", "folder", "plain")
WHOLE_STAGES: tuple[Stage, ...] = ("encoding", "denoising")


@dataclass(slots=True, eq=False)
class ToyDenoising:
    """What a request is between two steps, without latents."""

    request: ImageRequest
    key: Hashable
    rows: int
    calls: int
    done: int = 0


class ToyRunner:
    """Takes one call each time the test allows it.

    Prompts: "bad" raises when it begins, "poison" breaks every call it takes part in, "broken"
    fails in its own sampler, "black" cannot be decoded. `is_free`: needs no permission. `is_deaf`:
    does not listen to should_stop. `memory_rows`: rows that fit into one call. `room`: models that
    fit on the device.
    """

    def __init__(self) -> None:
        self.is_free = False
        self.is_deaf = False
        self.memory_rows = 1000
        self.room = 1
        self.call_s = 0.0
        self.order: list[str] = []  # as they began
        self.calls: list[tuple[str, ...]] = []  # request ids of each denoiser call
        self.loads: list[str] = []
        self.threads: list[str] = []  # that entered
        self.ways_made = 0
        self._resident: list[ModelSource] = []
        self._permissions = threading.Semaphore(0)
        self._times: list[CallTime] = []

    @property
    def steps_done(self) -> int:
        return len(self.calls)

    def allow(self, steps: int) -> None:
        self._permissions.release(steps)

    def enter_thread(self) -> None:
        self.threads.append(threading.current_thread().name)

    def is_resident(self, model: ModelSource) -> bool:
        return model in self._resident

    def has_room_for(self, model: ModelSource) -> bool:
        return model in self._resident or len(self._resident) < self.room

    def make_resident(self, model: ModelSource) -> None:
        if model.location == "missing":
            raise ModelUnavailable("The model is missing.")
        self.loads.append(model.slug)
        self._resident = [*self._resident, model][-self.room :]

    def make_way(self, model: ModelSource) -> bool:
        others = [other for other in self._resident if other != model]
        self._resident = [other for other in self._resident if other == model]
        self.ways_made += 1
        return bool(others)

    def can_step(self, model: ModelSource) -> bool:
        return model.family == "sd"

    def begin(self, request: ImageRequest) -> ToyDenoising:
        self.order.append(request.request_id)
        if request.prompt == "bad":
            raise ZeroDivisionError("the prompt says so")
        rows = 2 if request.guidance_scale > 1 else 1
        key = (request.model, request.width_px, request.exact and request.request_id)
        return ToyDenoising(request, key, rows, request.steps)

    def step(self, batch: Sequence[Denoising], *, shape: Hashable = None) -> list[Exception | None]:
        denoisings = cast(Sequence[ToyDenoising], batch)
        assert len({denoising.key for denoising in denoisings}) == 1
        assert all(denoising.request.model in self._resident for denoising in denoisings)
        if sum(denoising.rows for denoising in denoisings) > self.memory_rows:
            raise OutOfMemory
        if any(denoising.request.prompt == "poison" for denoising in denoisings):
            raise ZeroDivisionError("one of these")
        self._await_permission(lambda: False)
        began_s = time.monotonic()
        time.sleep(self.call_s)
        self.calls.append(tuple(denoising.request.request_id for denoising in denoisings))
        if shape is not None:
            rows = sum(denoising.rows for denoising in denoisings)
            self._times.append(CallTime(shape, rows, time.monotonic() - began_s))
        return [self._advance(denoising) for denoising in denoisings]

    def _advance(self, denoising: ToyDenoising) -> Exception | None:
        if denoising.request.prompt == "broken":
            return ZeroDivisionError("in its own sampler")
        denoising.done += 1
        return None

    def step_times(self) -> list[CallTime]:
        times, self._times = self._times, []
        return times

    def idle(self) -> bool:
        return False

    def row_limit(self, key: Hashable) -> int | None:
        return None

    def start_preview(self, denoising: Denoising) -> Callable[[], bytes | None]:
        return lambda: b"preview"

    def start_finish(self, denoising: Denoising) -> Callable[[], RenderedImage]:
        request = cast(ToyDenoising, denoising).request
        assert request.model in self._resident, "its model has left"
        return lambda: self.complete(request)

    def complete(self, request: ImageRequest) -> RenderedImage:
        """What another thread does once the image was decoded."""
        if request.prompt == "black":
            raise EngineError("Not a picture.")
        return picture_of(request)

    def render(
        self, request: ImageRequest, *, on_step: OnStep, should_stop: ShouldStop
    ) -> RenderedImage:
        self.order.append(request.request_id)
        for stage in WHOLE_STAGES:
            on_step(stage, 0, request.steps, None)
        for step in range(1, request.steps + 1):
            self._await_permission(should_stop)
            self.calls.append((request.request_id,))
            on_step("denoising", step, request.steps, None)
        return picture_of(request)

    def gauges(self) -> RunnerGauges:
        return RunnerGauges(resident=tuple(model.slug for model in self._resident))

    def _await_permission(self, should_stop: ShouldStop) -> None:
        while not self.is_free and not self._permissions.acquire(timeout=0.005):
            if should_stop() and not self.is_deaf:
                raise Cancelled
        if should_stop() and not self.is_deaf:
            raise Cancelled


def picture_of(request: ImageRequest) -> RenderedImage:
    return RenderedImage(request.request_id, b"\0\0\0", 1, 1, Timings(), {})


def error_of(future: Future[RenderedImage]) -> BaseException | None:
    return future.exception(timeout=WAIT_S)


def ask(name: str, *, owner: str = "alice", **changes: Any) -> ImageRequest:
    values: dict[str, Any] = {
        "request_id": name,
        "owner_id": owner,
        "model": MODEL,
        "prompt": "",
        "negative_prompt": "",
        "width_px": 64,
        "height_px": 64,
        "steps": 4,
        "guidance_scale": 7.0,
        "seed": 0,
        "sampler": "ddim",
    }
    return ImageRequest(**(values | changes))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.002)
