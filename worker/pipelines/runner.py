"""The runner that the engine drives: diffusers pipelines on one device."""

import logging
import warnings
from dataclasses import asdict

import diffusers
import torch

from worker.config import EngineConfig
from worker.engine.errors import OutOfMemory
from worker.engine.request import ImageRequest, RenderedImage
from worker.engine.runner import OnStep, ShouldStop
from worker.pipelines import plain, stable_diffusion
from worker.pipelines.loader import LoadedModel, ModelCache
from worker.pipelines.memory import is_out_of_memory, release_memory
from worker.pipelines.stages import StageClock

logger = logging.getLogger(__name__)

# family -> its own adapter; every other family runs through its plain pipeline
_ADAPTERS = {"sd": stable_diffusion.render}


class DiffusersRunner:
    """Implements `worker.engine.runner.Runner`. Only one thread may use it."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._models = ModelCache(config)
        if config.threads is not None:
            torch.set_num_threads(config.threads)

    def render(
        self, request: ImageRequest, *, on_step: OnStep, should_stop: ShouldStop
    ) -> RenderedImage:
        """Return the picture of `request`, with what made it.

        Raises `ModelUnavailable`, `InvalidRequest`, `OutOfMemory` or `Cancelled`.
        """
        _accept_known_warnings()
        clock = StageClock(request.steps, on_step=on_step, should_stop=should_stop)
        clock.enter("loading")
        try:
            return self._render(request, clock)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            logger.warning("out of memory: %s", error)
            failure = OutOfMemory(detail=str(error))
        # Outside the handler: the error's traceback holds the tensors that must go.
        release_memory()
        raise failure

    def _render(self, request: ImageRequest, clock: StageClock) -> RenderedImage:
        model = self._models.get(request.model)
        adapter = _ADAPTERS.get(request.model.family, plain.render)
        rendering = adapter(model, request, clock, preview_every=self._config.preview_every)
        return RenderedImage(
            request_id=request.request_id,
            timings=clock.timings(),
            fingerprint=fingerprint(model),
            **asdict(rendering),
        )


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
