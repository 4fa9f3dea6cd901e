"""Draws an image on the pretend device, and says at what stage the host waited."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch

from tests.pretend_cuda.device import PretendCuda, Wait
from worker.config import EngineConfig
from worker.engine.request import ImageRequest
from worker.pipelines.denoising import Denoising
from worker.pipelines.runner import ADAPTERS, DiffusersRunner


@dataclass(slots=True)
class Waits:
    """The waits by stage: `call` within the denoiser, `steps` in all steps around it; those of
    `completion` are no longer the engine thread's."""

    begin: Sequence[Wait] = ()
    call: Sequence[Wait] = ()
    steps: Sequence[Wait] = ()
    preview: Sequence[Wait] = ()
    finish: Sequence[Wait] = ()
    completion: Sequence[Wait] = ()


@dataclass(slots=True)
class PretendStudio:
    """A runner on a pretend device of its own that has no float64, as MPS has none.

    Only within the denoiser it has: diffusers' own models use it, unless the device says "mps".
    """

    dtype: Any  # as `EngineConfig` names it
    gpu: PretendCuda = field(default_factory=lambda: PretendCuda(allows_float64=False))
    _runner: DiffusersRunner | None = None

    @contextmanager
    def running(self) -> Iterator[DiffusersRunner]:
        """The runner, while its device is there."""
        with self.gpu, torch.no_grad():
            if self._runner is None:
                config = EngineConfig(device="cuda", dtype=self.dtype, compile="off")
                self._runner = DiffusersRunner(config)
            yield self._runner

    def draw(self, request: ImageRequest) -> Waits:
        """Draw `request` alone, from beginning to end, with one preview."""
        waits = Waits()
        with self.running() as runner:
            runner.make_resident(request.model)
            with self.gpu.counted() as waits.begin:
                denoising = runner.begin(request)
            call: list[Wait] = []
            with self.gpu.counted() as around, self._watched(request.model.family, call):
                self._step_to_the_end(runner, denoising)
            waits.call = call
            # Steps are timed by events of earlier ones: meanwhile the device has one to do.
            waits.steps = [wait for wait in around if wait not in call and wait.why != "event"]
            with self.gpu.counted() as waits.preview:
                runner.start_preview(denoising)
            with self.gpu.counted() as waits.finish:
                complete = runner.start_finish(denoising)
            with self.gpu.counted() as waits.completion:
                complete()
        return waits

    def _step_to_the_end(self, runner: DiffusersRunner, denoising: Denoising) -> None:
        before = denoising.latents
        while denoising.done < denoising.calls:
            failures = runner.step([denoising])
            assert failures == [None], failures
            latents = denoising.latents
            assert (latents.device, latents.dtype) == (before.device, before.dtype)

    @contextmanager
    def _watched(self, family: str, seen: list[Wait]) -> Iterator[None]:
        """Waits within the denoiser's call are added to `seen`."""
        adapter: Any = ADAPTERS[family]
        predict = adapter.predict

        def predict_counted(*args: Any) -> Any:
            self.gpu.allows_float64 = True
            with self.gpu.counted() as waits:
                answer = predict(*args)
            self.gpu.allows_float64 = False
            seen.extend(waits)
            return answer

        with patch.object(adapter, "predict", predict_counted):
            yield
