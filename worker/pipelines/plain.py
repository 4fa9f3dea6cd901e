"""Every other text-to-image pipeline of diffusers, called whole, one request at a time."""

import inspect
from collections.abc import Callable
from typing import Any

import torch

from worker.engine.errors import InvalidRequest
from worker.engine.request import ImageRequest
from worker.pipelines.loader import LoadedModel
from worker.pipelines.pixels import Rendering, to_pixels
from worker.pipelines.samplers import build_scheduler
from worker.pipelines.stages import StageClock


@torch.no_grad()
def render(
    model: LoadedModel, request: ImageRequest, clock: StageClock, *, preview_every: int
) -> Rendering:
    """Return the picture the model's own pipeline makes on a CPU generator.

    Raises `InvalidRequest` for a size, sampler or negative prompt the model does not take, and
    `Cancelled` within one step.
    """
    pipe = model.pipeline
    arguments = _call_arguments(pipe, request)
    pipe.scheduler = build_scheduler(model.trained_scheduler, request.sampler, steps=request.steps)
    if "callback_on_step_end" in inspect.signature(pipe.__call__).parameters:
        arguments["callback_on_step_end"] = _step_reporter(model, request, clock, preview_every)
    clock.enter("encoding")
    hook = _denoiser(pipe).register_forward_pre_hook(_stage_hook(clock))
    try:
        picture = pipe(**arguments).images[0]
    finally:
        hook.remove()
    return Rendering(*to_pixels(picture))


def _call_arguments(pipe: Any, request: ImageRequest) -> dict[str, Any]:
    _check_size(pipe, request)
    arguments: dict[str, Any] = {
        "prompt": request.prompt,
        "width": request.width_px,
        "height": request.height_px,
        "num_inference_steps": request.steps,
        "guidance_scale": request.guidance_scale,
        "generator": torch.Generator("cpu").manual_seed(request.seed),
        "output_type": "np",
    }
    if request.negative_prompt:
        if not _takes_negative_prompt(pipe):
            raise InvalidRequest("This model does not take a negative prompt.")
        arguments["negative_prompt"] = request.negative_prompt
    return arguments


def _takes_negative_prompt(pipe: Any) -> bool:
    """A pipeline with `true_cfg_scale` ignores the negative prompt at the scale it comes with."""
    parameters = inspect.signature(pipe.__call__).parameters
    return "negative_prompt" in parameters and "true_cfg_scale" not in parameters


def _check_size(pipe: Any, request: ImageRequest) -> None:
    # Transformers cut the latents into patches of 2x2.
    multiple = pipe.vae_scale_factor * (1 if hasattr(pipe, "unet") else 2)
    if request.width_px % multiple or request.height_px % multiple:
        raise InvalidRequest(f"Width and height must be multiples of {multiple} for this model.")


def _denoiser(pipe: Any) -> torch.nn.Module:
    denoiser: torch.nn.Module = getattr(pipe, "transformer", None) or pipe.unet
    return denoiser


def _stage_hook(clock: StageClock) -> Callable[[torch.nn.Module, Any], None]:
    """The denoiser's first call ends the encoding; every call is a chance to stop."""

    def before_denoiser(_module: torch.nn.Module, _inputs: object) -> None:
        if clock.stage == "encoding":
            clock.enter("denoising")
        clock.check()

    return before_denoiser


def _step_reporter(
    model: LoadedModel, request: ImageRequest, clock: StageClock, preview_every: int
) -> Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]:
    def step_done(pipe: Any, index: int, _t: object, tensors: dict[str, Any]) -> dict[str, Any]:
        done = index + 1
        preview = None
        if preview_every and done % preview_every == 0 and done < request.steps:
            preview = _preview(model, pipe, request, tensors["latents"])
        clock.step_done(min(done, request.steps), preview)
        if done >= pipe.num_timesteps:
            clock.enter("decoding")
        return {}

    return step_done


def _preview(
    model: LoadedModel,
    pipe: Any,
    request: ImageRequest,
    latents: torch.Tensor,
) -> bytes | None:
    preview = model.preview()
    if latents.ndim == 3 and hasattr(pipe, "_unpack_latents"):  # Flux: [1, patches, channels * 4]
        latents = pipe._unpack_latents(
            latents, request.height_px, request.width_px, pipe.vae_scale_factor
        )
    return preview.render(latents[0]) if preview and latents.ndim == 4 else None
