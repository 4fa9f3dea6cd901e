"""The systems under test, all behind one door: the engine, and what one would do without it."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch

from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.engine.errors import Cancelled
from worker.engine.request import ImageRequest, Progress, RenderedImage, Timings
from worker.engine.runner import Denoising, OnStep, ShouldStop
from worker.pipelines import denoising
from worker.pipelines.graphs import Graphs
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.samplers import build_scheduler

HOT_CALLS = 3
COALESCE_S = 0.05
COALESCED_AT_MOST = 8

OnProgress = Callable[[Progress], None]


class System(Protocol):
    """Something that draws what is asked of it; any thread may ask."""

    name: str

    @property
    def is_warming(self) -> bool:
        """Whether it was still getting faster by itself since last asked."""
        ...

    def submit(
        self, request: ImageRequest, *, on_progress: OnProgress | None
    ) -> Future[RenderedImage]:
        """A future of the image; it raises `Cancelled` if that came first."""
        ...

    def cancel(self, request_id: str) -> bool:
        """False if the image can no longer be stopped."""
        ...

    def calls_of(self, request_id: str) -> int | None:
        """Denoiser calls that the request took part in so far; None if nobody counts."""
        ...

    def close(self) -> None:
        """Stop; nothing may be waiting."""
        ...


class CountingRunner(DiffusersRunner):
    """The runner as it is, with a count of the denoiser calls that each request took part in."""

    def __init__(self, config: EngineConfig) -> None:
        super().__init__(config)
        self.calls: Counter[str] = Counter()
        # Warming up ends after a few calls; what is measured is the same.
        self._graphs = Graphs(self._device, hot_calls=HOT_CALLS)

    def step(self, batch: Sequence[Denoising], *, shape: Hashable = None) -> list[Exception | None]:
        """See `Runner.step`."""
        outcome = super().step(batch, shape=shape)
        self.calls.update(
            drawn.request.request_id for drawn in cast(Sequence[denoising.Denoising], batch)
        )
        return outcome

    def render(
        self, request: ImageRequest, *, on_step: OnStep, should_stop: ShouldStop
    ) -> RenderedImage:
        """See `Runner.render`."""

        def counted(stage: Any, step: int, steps: int, preview: bytes | None) -> None:
            self.calls[request.request_id] = step
            on_step(stage, step, steps, preview)

        return super().render(request, on_step=counted, should_stop=should_stop)


class EngineSystem:
    """The engine, through the door that the worker uses."""

    def __init__(self, config: EngineConfig) -> None:
        self.name = "engine"
        self._runner = CountingRunner(config)
        self._engine = Engine(self._runner, config)
        self._engine.start()
        self._captures = 0

    @property
    def is_warming(self) -> bool:
        """See `System.is_warming`."""
        before, self._captures = self._captures, self._runner._graphs.captures
        return self._captures > before or self._runner.compile_state() == "waiting"

    def submit(
        self, request: ImageRequest, *, on_progress: OnProgress | None
    ) -> Future[RenderedImage]:
        """See `System.submit`."""
        return self._engine.submit(request, on_progress=on_progress)

    def cancel(self, request_id: str) -> bool:
        """See `System.cancel`."""
        return self._engine.cancel(request_id)

    def calls_of(self, request_id: str) -> int | None:
        """See `System.calls_of`."""
        return self._runner.calls[request_id]

    def close(self) -> None:
        """See `System.close`."""
        self._engine.close()


@dataclass(slots=True, eq=False)
class _Waiting:
    request: ImageRequest
    future: Future[RenderedImage] = field(default_factory=Future)
    since_s: float = field(default_factory=time.perf_counter)


class PipeSystem:
    """`pipe()` by one thread, which is `pipe()` under a lock that is fair: who comes first is
    drawn first, and what has begun runs to its end.

    `at_most` above 1 coalesces: requests with equal parameters share a `pipe()` call, the oldest
    waiting `COALESCE_S` for its like.
    """

    def __init__(self, name: str, pipe: Any, *, at_most: int = 1) -> None:
        self.name = name
        self._pipe = pipe
        self._trained_scheduler = pipe.scheduler
        self._at_most = at_most
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def is_warming(self) -> bool:
        """See `System.is_warming`: what `torch.compile` does here, it does while one waits."""
        return False

    def submit(
        self, request: ImageRequest, *, on_progress: OnProgress | None
    ) -> Future[RenderedImage]:
        """See `System.submit`; nothing is told on the way."""
        entry = _Waiting(request)
        with self._changed:
            self._waiting.append(entry)
            self._changed.notify_all()
        return entry.future

    def cancel(self, request_id: str) -> bool:
        """See `System.cancel`."""
        with self._changed:
            found = [e for e in self._waiting if e.request.request_id == request_id]
            for entry in found:
                self._waiting.remove(entry)
        for entry in found:
            entry.future.set_exception(Cancelled())
        return bool(found)

    def calls_of(self, request_id: str) -> int | None:
        """See `System.calls_of`."""
        return None

    def close(self) -> None:
        """See `System.close`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next_batch():
            try:
                images = draw(
                    self._pipe, self._trained_scheduler, [entry.request for entry in batch]
                )
            # The futures carry it to whoever waits.
            except Exception as error:
                for entry in batch:
                    entry.future.set_exception(error)
                continue
            for entry, image in zip(batch, images, strict=True):
                entry.future.set_result(image)

    def _next_batch(self) -> list[_Waiting]:
        """Wait for the oldest request and, for a while, for its like; empty when closed."""
        with self._changed:
            while not self._closed:
                # Looked at anew each time round: the oldest may be cancelled meanwhile.
                oldest = self._waiting[0] if self._waiting else None
                batch = self._like(oldest) if oldest else []
                patience_s = oldest.since_s + COALESCE_S - time.perf_counter() if oldest else None
                if len(batch) >= self._at_most or (patience_s is not None and patience_s <= 0):
                    for entry in batch:
                        self._waiting.remove(entry)
                    return batch
                self._changed.wait(patience_s)
            return []

    def _like(self, oldest: _Waiting) -> list[_Waiting]:
        wanted = parameters_of(oldest.request)
        like = [e for e in self._waiting if parameters_of(e.request) == wanted]
        return like[: self._at_most]


def parameters_of(request: ImageRequest) -> Hashable:
    """What one `pipe()` call has one value of, however many prompts and seeds it takes."""
    return (
        request.model,
        request.steps,
        request.sampler,
        request.guidance_scale,
        request.width_px,
        request.height_px,
    )


def draw(
    pipe: Any, trained_scheduler: Any, requests: Sequence[ImageRequest]
) -> list[RenderedImage]:
    """The images of `requests`, equal in `parameters_of`, from one `pipe()` call."""
    first = requests[0]
    pipe.scheduler = build_scheduler(trained_scheduler, first.sampler, steps=first.steps)
    pictures = pipe(
        [request.prompt for request in requests],
        negative_prompt=[request.negative_prompt for request in requests],
        num_inference_steps=first.steps,
        guidance_scale=first.guidance_scale,
        width=first.width_px,
        height=first.height_px,
        generator=[torch.Generator("cpu").manual_seed(request.seed) for request in requests],
    ).images
    return [
        RenderedImage(
            request_id=request.request_id,
            pixels=picture.tobytes(),
            width_px=picture.width,
            height_px=picture.height,
            timings=Timings(),
            fingerprint={},
        )
        for request, picture in zip(requests, pictures, strict=True)
    ]
