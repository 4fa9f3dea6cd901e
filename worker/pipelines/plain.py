"""Every other text-to-image pipeline of diffusers, called whole, one request at a time."""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from worker.engine.errors import InvalidRequest
from worker.engine.request import NO_NEGATIVE_PROMPT, ImageRequest
from worker.pipelines.loader import LoadedModel
from worker.pipelines.modes import check_size
from worker.pipelines.pixels import Rendering, to_pixels
from worker.pipelines.samplers import OWN, again, build_scheduler
from worker.pipelines.stages import StageClock

Parameters = Mapping[str, inspect.Parameter]
StepDone = Callable[[int, torch.Tensor], None]


@torch.no_grad()
def render(
    model: LoadedModel, request: ImageRequest, clock: StageClock, *, preview_every: int
) -> Rendering:
    """Return the image the model's own pipeline makes on a CPU generator.

    Raises `InvalidRequest` for a mode, size, sampler or negative prompt the model does not take,
    and `Cancelled` within one step. Words reach the pipeline as they are: brackets weigh nothing.
    """
    pipe = model.pipeline
    arguments = call_arguments(pipe, request)
    scheduler = _scheduler(model, request)
    _use_scheduler(pipe, scheduler)
    step_done = _step_reporter(model, request, clock, preview_every)
    arguments |= _callback(pipe, scheduler, clock, step_done)
    clock.enter("encoding")
    with _denoiser_watched(pipe, clock):
        image = pipe(**arguments).images[0]
    rendering = Rendering(*to_pixels(image))
    _check_drawn(rendering, request)
    return rendering


def _check_drawn(rendering: Rendering, request: ImageRequest) -> None:
    """Some pipelines round the size to what suits them, and say nothing of it."""
    drawn, asked = (rendering.width_px, rendering.height_px), (request.width_px, request.height_px)
    if drawn != asked:
        sentence = (
            f"This model draws {drawn[0]}x{drawn[1]} where {asked[0]}x{asked[1]} is asked for."
        )
        raise InvalidRequest(sentence)


# What is asked of the pipeline


def call_arguments(pipe: Any, request: ImageRequest) -> dict[str, Any]:
    """What the pipeline is called with beside generator and callback, by the names that its
    `__call__` has. Raises `InvalidRequest` for a mode, size or negative prompt that it does not
    take."""
    if request.mode != "text":
        raise InvalidRequest("This model only draws from text.")
    check_size(request, multiple=size_multiple(pipe))
    accepted = inspect.signature(pipe.__call__).parameters
    arguments = {
        "prompt": request.prompt,
        "width": request.width_px,
        "height": request.height_px,
        "num_inference_steps": request.steps,
        guidance_argument(accepted): request.guidance_scale,
        "generator": torch.Generator("cpu").manual_seed(request.seed),
        "output_type": "np",
    }
    check_taken(arguments, accepted)
    if "clean_caption" in accepted:  # it needs a package, and warns of it at each image
        arguments["clean_caption"] = False
    if request.negative_prompt:
        if not takes_negative_prompt(accepted):
            raise InvalidRequest(NO_NEGATIVE_PROMPT)
        arguments["negative_prompt"] = request.negative_prompt
    return arguments


def guidance_argument(accepted: Parameters) -> str:
    """Guidance by two denoiser calls is `guidance_scale` to most pipelines. Some call it
    `true_cfg_scale`; if that is off by default beside another (Flux), the model is told its scale
    instead."""
    is_only = "guidance_scale" not in accepted and "true_cfg_scale" in accepted
    return "true_cfg_scale" if is_only or _guides_by_true_cfg(accepted) else "guidance_scale"


def _guides_by_true_cfg(accepted: Parameters) -> bool:
    return "true_cfg_scale" in accepted and accepted["true_cfg_scale"].default > 1


def check_taken(arguments: Iterable[str], accepted: Parameters) -> None:
    """Raises `InvalidRequest` with the first of `arguments` that a pipeline does not take."""
    missing = [name for name in arguments if name not in accepted]
    if missing:
        raise InvalidRequest(f"This model does not take a {missing[0].replace('_', ' ')}.")


def takes_negative_prompt(accepted: Parameters) -> bool:
    """False, too, if true guidance is off: the pipeline would take the words and ignore them."""
    is_deaf = "true_cfg_scale" in accepted and guidance_argument(accepted) != "true_cfg_scale"
    return "negative_prompt" in accepted and not is_deaf


def size_multiple(pipe: Any) -> int:
    """Pixels by which a side may grow: any less and the pipeline would round. One latent for each
    `vae_scale_factor` pixels, in patches that the denoiser cuts, or that the pipeline packs before:
    then its image processor goes by them."""
    if hasattr(pipe, "movq"):  # Kandinsky: 8x8 latents of 8x8 px
        return 64
    latent_px = getattr(pipe, "vae_scale_factor", 8)
    patch = config_of(denoiser_of(pipe)).get("patch_size")
    patch = patch if isinstance(patch, int) else 1
    packed_px = config_of(getattr(pipe, "image_processor", None)).get("vae_scale_factor", 1)
    return math.lcm(8, latent_px * patch, packed_px)


def denoiser_of(pipe: Any) -> Any:
    """The pipeline's transformer, else its U-Net; None if it has neither."""
    transformer = getattr(pipe, "transformer", None)
    return getattr(pipe, "unet", None) if transformer is None else transformer


def config_of(part: Any) -> Mapping[str, Any]:
    """The configuration of a pipeline's part; empty if it has none."""
    config: Mapping[str, Any] = getattr(part, "config", {})
    return config


def _scheduler(model: LoadedModel, request: ImageRequest) -> Any:
    if request.sampler == OWN:
        return again(model.trained_scheduler)
    return build_scheduler(model.trained_scheduler, request.sampler, steps=request.steps)


def _use_scheduler(pipe: Any, scheduler: Any) -> None:
    pipe.scheduler = scheduler
    # Pipelines combined of a prior and a decoder draw with the decoder's.
    if hasattr(pipe, "decoder_pipe"):
        pipe.decoder_pipe.scheduler = scheduler


# What is heard of it


def _callback(
    pipe: Any, scheduler: Any, clock: StageClock, step_done: StepDone
) -> dict[str, Callable[..., Any]]:
    """The argument by which this pipeline tells of its steps; none if it tells nothing."""
    accepted = inspect.signature(pipe.__call__).parameters

    def each_call(_pipe: Any, index: int, _t: object, tensors: dict[str, Any]) -> dict[str, Any]:
        step_done(index + 1, tensors["latents"])
        if index + 1 >= len(scheduler.timesteps):
            clock.enter("decoding")
        return {}

    def each_step(index: int, _t: object, latents: torch.Tensor) -> None:
        step_done(index + 1, latents)
        # The older callback counts steps, of which some samplers take two calls each.
        if index + 1 >= math.ceil(len(scheduler.timesteps) / scheduler.order):
            clock.enter("decoding")

    if "callback_on_step_end" in accepted:
        return {"callback_on_step_end": each_call}
    return {"callback": each_step} if "callback" in accepted else {}


def _step_reporter(
    model: LoadedModel, request: ImageRequest, clock: StageClock, preview_every: int
) -> StepDone:
    def step_done(done: int, latents: torch.Tensor) -> None:
        preview = None
        if preview_every and done % preview_every == 0 and done < request.steps:
            preview = _preview(model, request, latents)
        clock.step_done(min(done, request.steps), preview)

    return step_done


def _preview(model: LoadedModel, request: ImageRequest, latents: torch.Tensor) -> bytes | None:
    pipe, preview = model.pipeline, model.preview()
    if preview is None:
        return None
    if latents.ndim == 3 and hasattr(pipe, "_unpack_latents"):  # Flux: [1, patches, channels * 4]
        latents = pipe._unpack_latents(
            latents, request.height_px, request.width_px, pipe.vae_scale_factor
        )
    return preview.render(latents[0]) if latents.ndim == 4 else None


@contextmanager
def _denoiser_watched(pipe: Any, clock: StageClock) -> Iterator[None]:
    """The denoiser's first call ends the encoding; every call is a chance to stop."""

    def before_denoiser(_module: torch.nn.Module, _inputs: object) -> None:
        if clock.stage == "encoding":
            clock.enter("denoising")
        clock.check()

    denoiser: torch.nn.Module = denoiser_of(pipe)
    hook = denoiser.register_forward_pre_hook(before_denoiser)
    try:
        yield
    finally:
        hook.remove()
