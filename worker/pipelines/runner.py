"""The runner that the engine drives: diffusers models on one device."""

import logging
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import cast

import diffusers
import torch

from worker.config import EngineConfig
from worker.engine.errors import OutOfMemory
from worker.engine.request import ImageRequest, ModelSource, RenderedImage, Timings
from worker.engine.runner import Denoising as AnyDenoising
from worker.engine.runner import OnStep, RunnerGauges, ShouldStop
from worker.pipelines import denoising, plain
from worker.pipelines.denoising import Adapter, Denoising
from worker.pipelines.flux import Flux
from worker.pipelines.loader import LoadedModel, ModelCache
from worker.pipelines.memory import is_out_of_memory, release_memory
from worker.pipelines.stable_diffusion import StableDiffusion
from worker.pipelines.stable_diffusion_3 import StableDiffusion3
from worker.pipelines.stages import StageClock

logger = logging.getLogger(__name__)

# family -> its own adapter; every other family runs through its plain pipeline
ADAPTERS: dict[str, Adapter] = {
    "sd": StableDiffusion(),
    "sd3": StableDiffusion3(),
    "flux": Flux(),
}


class DiffusersRunner:
    """Implements `worker.engine.runner.Runner`. Only one thread may use it."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._models = ModelCache(config)
        if config.threads is not None:
            torch.set_num_threads(config.threads)

    def is_resident(self, model: ModelSource) -> bool:
        """See `Runner.is_resident`."""
        return self._models.holds(model)

    def has_room_for(self, model: ModelSource) -> bool:
        """See `Runner.has_room_for`."""
        return self._models.has_room_for(model)

    def make_resident(self, model: ModelSource) -> None:
        """See `Runner.make_resident`."""
        _accept_known_warnings()
        with _out_of_memory_told():
            self._models.get(model)

    def can_step(self, model: ModelSource) -> bool:
        """See `Runner.can_step`."""
        return model.family in ADAPTERS

    def begin(self, request: ImageRequest) -> Denoising:
        """See `Runner.begin`."""
        _accept_known_warnings()
        with _out_of_memory_told():
            return ADAPTERS[request.model.family].begin(self._models.get(request.model), request)

    def step(self, batch: Sequence[AnyDenoising]) -> list[Exception | None]:
        """See `Runner.step`."""
        with _out_of_memory_told():
            return denoising.step(cast(Sequence[Denoising], batch))

    def row_limit(self, key: Hashable) -> int | None:
        """See `Runner.row_limit`."""
        return None

    def start_preview(self, denoising: AnyDenoising) -> Callable[[], bytes | None]:
        """See `Runner.start_preview`."""
        drawn = cast(Denoising, denoising)
        preview = drawn.model.preview()
        if preview is None:
            return lambda: None
        grid = drawn.adapter.grid(drawn)
        return lambda: preview.render(grid)

    def finish(self, denoising: AnyDenoising) -> RenderedImage:
        """See `Runner.finish`."""
        drawn = cast(Denoising, denoising)
        with _out_of_memory_told():
            rendering = drawn.adapter.decode(drawn)
        return RenderedImage(
            request_id=drawn.request.request_id,
            timings=Timings(),
            fingerprint=fingerprint(drawn.model),
            **asdict(rendering),
        )

    def render(
        self, request: ImageRequest, *, on_step: OnStep, should_stop: ShouldStop
    ) -> RenderedImage:
        """See `Runner.render`."""
        _accept_known_warnings()
        clock = StageClock(request.steps, on_step=on_step, should_stop=should_stop)
        model = self._models.get(request.model)
        with _out_of_memory_told():
            rendering = plain.render(
                model, request, clock, preview_every=self._config.preview_every
            )
        return RenderedImage(
            request_id=request.request_id,
            timings=clock.timings(),
            fingerprint=fingerprint(model),
            **asdict(rendering),
        )

    def gauges(self) -> RunnerGauges:
        """See `Runner.gauges`."""
        return RunnerGauges(resident=self._models.names())


@contextmanager
def _out_of_memory_told() -> Iterator[None]:
    """Turns an allocation that failed into `OutOfMemory`, and gives back what can be."""
    failure = None
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        logger.warning("out of memory: %s", error)
        failure = OutOfMemory(detail=str(error))
    if failure is not None:
        # Outside the handler: the error's traceback holds the tensors that must go.
        release_memory()
        raise failure


def _accept_known_warnings() -> None:
    """Let Euler's sigmas pass: diffusers hands NumPy 2 a tensor that knows no `copy` keyword.

    The numbers are right. Set for each request, since test runners reset the filters.
    """
    message = "__array__ implementation doesn't accept a copy keyword"
    warnings.filterwarnings("ignore", message=message, category=DeprecationWarning)


def fingerprint(model: LoadedModel) -> dict[str, str]:
    """Return what a picture depends on beside its request: device, gpu, torch, diffusers, dtype."""
    is_cuda = model.device.type == "cuda"
    return {
        "device": model.device.type,
        "gpu": torch.cuda.get_device_name(model.device) if is_cuda else "",
        "torch": str(torch.__version__),
        "diffusers": str(diffusers.__version__),
        "dtype": str(model.dtype).removeprefix("torch."),
    }
