"""Every other text-to-image pipeline of diffusers, called whole, one request at a time."""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch

from worker.engine.errors import InvalidRequest
from worker.engine.request import NO_NEGATIVE_PROMPT, ImageRequest
from worker.pipelines.loader import LoadedModel
from worker.pipelines.modes import check_size
from worker.pipelines.pixels import Rendering, to_rendering
from worker.pipelines.samplers import OWN, again, build_scheduler
from worker.pipelines.stages import StageClock
from worker.pipelines.watching import Watch, overflowed

Parameters = Mapping[str, inspect.Parameter]
StepDone = Callable[[int, torch.Tensor], None]
# A side that is scaled by a root of one is rounded down to its grid.
_HARDLY_MORE: Final = 1 + 1e-9


@torch.no_grad()
def render(
    model: LoadedModel, request: ImageRequest, clock: StageClock, *, preview_every: int
) -> Rendering:
    """Return the image the model's own pipeline makes on a CPU generator.

    Raises `InvalidRequest` for a mode, size, sampler or negative prompt the model does not take,
    `Cancelled` within one step, and `Overflowed` or `BlackImage` for what is no image. Words reach
    the pipeline as they are: brackets weigh nothing.
    """
    pipe = model.pipeline
    arguments = call_arguments(pipe, request)
    scheduler = _scheduler(model, request)
    _use_scheduler(pipe, scheduler)
    step_done = _step_reporter(model, request, clock, preview_every)
    arguments |= _callback(pipe, scheduler, clock, step_done)
    clock.enter("encoding")
    with _denoiser_watched(pipe, clock), _at_size_asked_for(pipe, request):
        made = pipe(**arguments)
    flags = getattr(made, "nsfw_content_detected", None)
    rendering = to_rendering(made.images[0], blacked_out=bool(flags and flags[0]))
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
    _check_area(pipe, request)
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
    # One needs a package, and warns of it at each image; the other would draw the nearest of its
    # own sizes, and scale that.
    unwanted = {"clean_caption", "use_resolution_binning"} & accepted.keys()
    arguments |= dict.fromkeys(unwanted, False)
    if request.negative_prompt:
        if not takes_negative_prompt(accepted):
            raise InvalidRequest(NO_NEGATIVE_PROMPT)
        arguments["negative_prompt"] = request.negative_prompt
    return arguments


def _check_area(pipe: Any, request: ImageRequest) -> None:
    """HiDream's transformer fills every image up to a number of patches, and takes no more."""
    most = getattr(denoiser_of(pipe), "max_seq", None)
    if most and request.width_px * request.height_px > most * size_multiple(pipe) ** 2:
        pixels = most * size_multiple(pipe) ** 2
        raise InvalidRequest(f"This model draws at most {pixels} pixels in all.")


def guidance_argument(accepted: Parameters) -> str:
    """Guidance by two denoiser calls is `guidance_scale` to most pipelines. Some call it
    `true_cfg_scale`; if that is off by default beside another (Flux), the model is told its scale
    instead. Of two stages the first one guides (`prior_guidance_scale`), if each has its own."""
    if "guidance_scale" not in accepted and "prior_guidance_scale" in accepted:
        return "prior_guidance_scale"
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
    if hasattr(pipe, "vqgan"):  # Stable Cascade: 3x3 embeddings of its first stage
        return 128
    latent_px = getattr(pipe, "vae_scale_factor", 8)
    patch = config_of(denoiser_of(pipe)).get("patch_size")
    patch = patch if isinstance(patch, int) else 1
    packed_px = config_of(getattr(pipe, "image_processor", None)).get("vae_scale_factor", 1)
    return math.lcm(8, latent_px * patch, packed_px)


def denoiser_of(pipe: Any) -> Any:
    """The pipeline's transformer, its U-Net, or the U-Net of its second stage; None if it has none
    of them."""
    parts = (getattr(pipe, name, None) for name in ("transformer", "unet", "decoder"))
    return next((part for part in parts if part is not None), None)


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

    def each_call(stage: Any, index: int, _t: object, tensors: dict[str, Any]) -> dict[str, Any]:
        step_done(index + 1, tensors["latents"])
        # The last time of some is no call: the pipeline that calls knows how many there are.
        if index + 1 >= getattr(stage, "num_timesteps", len(scheduler.timesteps)):
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
    watch = Watch()

    def step_done(done: int, latents: torch.Tensor) -> None:
        if watch.sees_overflow(latents, done):
            raise overflowed()
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
def _at_size_asked_for(pipe: Any, request: ImageRequest) -> Iterator[None]:
    """HiDream scales any size to the area of its usual one: inside, that is the area asked for."""
    if type(pipe).__name__ != "HiDreamImagePipeline":
        yield
        return
    usual = pipe.default_sample_size
    side_px = math.sqrt(request.width_px * request.height_px)
    pipe.default_sample_size = side_px * _HARDLY_MORE / pipe.vae_scale_factor
    try:
        yield
    finally:
        pipe.default_sample_size = usual


@contextmanager
def _denoiser_watched(pipe: Any, clock: StageClock) -> Iterator[None]:
    """The denoiser's first call ends the encoding; every call is a chance to stop."""

    def before_denoiser(_module: torch.nn.Module, _inputs: object) -> None:
        if clock.stage == "encoding":
            clock.enter("denoising")
        clock.check()

    stages = (getattr(pipe, "prior_prior", None), denoiser_of(pipe))
    hooks = [each.register_forward_pre_hook(before_denoiser) for each in stages if each is not None]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
