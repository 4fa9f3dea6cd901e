"""The engine's bench, measured itself: with the tiny model, or with a system made of timers."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline

from tests.bench.engine.requests import Mix
from tests.bench.engine.systems import OnProgress
from tests.pipelines.fixtures import tiny_model_dir
from worker.engine.errors import Cancelled
from worker.engine.request import ImageRequest, ModelSource, RenderedImage, Timings

__all__ = ["tiny_model_dir"]


class TimerSystem:
    """Every image takes `takes_s`, however many are asked for; for what concerns the loads."""

    name = "timer"
    is_warming = False

    def __init__(self, takes_s: float) -> None:
        self._takes_s = takes_s
        self._under_way: dict[str, Future[RenderedImage]] = {}
        self._lock = threading.Lock()
        self.most_at_once = 0
        self.cancelled: list[str] = []

    def submit(
        self, request: ImageRequest, *, on_progress: OnProgress | None
    ) -> Future[RenderedImage]:
        future: Future[RenderedImage] = Future()
        with self._lock:
            self._under_way[request.request_id] = future
            self.most_at_once = max(self.most_at_once, len(self._under_way))
        threading.Timer(self._takes_s, self._finish, [request]).start()
        return future

    def cancel(self, request_id: str) -> bool:
        with self._lock:
            future = self._under_way.pop(request_id, None)
        if future is not None:
            self.cancelled.append(request_id)
            future.set_exception(Cancelled())
        return future is not None

    def calls_of(self, request_id: str) -> int | None:
        return None

    def close(self) -> None:
        pass

    def _finish(self, request: ImageRequest) -> None:
        with self._lock:
            future = self._under_way.pop(request.request_id, None)
        if future is not None:
            image = RenderedImage(request.request_id, b"", 0, 0, Timings(), {})
            future.set_result(image)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def mix(tiny_model_dir: Path) -> Mix:
    model = ModelSource("tiny", "sd", "folder", str(tiny_model_dir))
    return Mix(model, side_px=64, seed=0, steps=(2, 3, 4))


@pytest.fixture
def pipe(tiny_model_dir: Path) -> Any:
    pipeline = StableDiffusionPipeline.from_pretrained(
        tiny_model_dir, safety_checker=None, requires_safety_checker=False, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
