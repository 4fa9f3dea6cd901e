"""A finished image, and the beginning of one that starts from another: what a VAE does, in the
way that there is memory for."""

from collections.abc import Callable
from typing import TypeVar

import torch

from worker.engine.request import ImageRequest
from worker.pipelines.denoising import Denoising
from worker.pipelines.loader import LoadedModel
from worker.pipelines.pixels import Arriving
from worker.pipelines.vae_ways import VaeTask, Way

Begun = TypeVar("Begun")


def decode(denoising: Denoising) -> tuple[Arriving, Way]:
    """The image as it leaves the device, and the way it was decoded.

    Raises what the allocator raised if even the last way has no room.
    """
    request, model = denoising.request, denoising.model
    task = VaeTask("decode", request.width_px, request.height_px)
    return model.vae_ways.run(model.pipeline.vae, task, lambda: denoising.adapter.decode(denoising))


def encode_start(
    model: LoadedModel,
    request: ImageRequest,
    generator: torch.Generator,
    begin: Callable[[], Begun],
) -> tuple[Begun, Way | None]:
    """What `begin` returns, which encodes the start image and draws from `generator`, and the
    way it was encoded; None if the request starts from noise.

    Another try draws the same numbers again. Raises what `begin` raises.
    """
    if request.start is None:
        return begin(), None
    state = generator.get_state()

    def begin_anew() -> Begun:
        generator.set_state(state)
        return begin()

    task = VaeTask("encode", request.width_px, request.height_px)
    return model.vae_ways.run(model.pipeline.vae, task, begin_anew)
