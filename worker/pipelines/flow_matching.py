"""What the transformer families trained by flow matching (SD3, Flux) have in common."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers.pipelines.flux.pipeline_flux import calculate_shift, retrieve_timesteps
from PIL import Image
from torch import Tensor

from worker.engine.errors import InvalidRequest
from worker.engine.request import MASK_AND_INPAINT, START_OR_TEXT, ImageRequest
from worker.pipelines.copies import sent
from worker.pipelines.denoising import AfterStep
from worker.pipelines.loader import LoadedModel
from worker.pipelines.pixels import Arriving, start_rendering
from worker.pipelines.samplers import build_scheduler


def pipeline_for(model: LoadedModel, request: ImageRequest, classes: dict[str, Any]) -> Any:
    """The pipeline of the request's mode around the model's weights, with a scheduler of its own.

    `classes`: mode -> pipeline class of the family. Raises `InvalidRequest` for a mode that has
    none, and for a sampler that does not fit the model or cannot begin from an image.
    """
    if request.mode not in classes:
        raise InvalidRequest("This model only draws from text.")
    scheduler = build_scheduler(model.trained_scheduler, request.sampler, steps=request.steps)
    if request.mode != "text" and not hasattr(scheduler, "scale_noise"):
        sentence = f"The sampler {request.sampler} only draws from text with this model."
        raise InvalidRequest(sentence)
    return classes[request.mode](**(model.pipeline.components | {"scheduler": scheduler}))


def plan_timesteps(
    pipe: Any,
    request: ImageRequest,
    *,
    shift: float,
    sigmas: Sequence[float] | None = None,
) -> Tensor:
    """The timesteps [calls] of `request` on the CPU, the schedule shifted as `pipe` does it.

    `shift`: for a schedule that is shifted by the size (`dynamic_shift`); `sigmas`: the family's
    own spacing, left out for samplers that space flow sigmas themselves. Raises `InvalidRequest`
    for a sampler that cannot be given these, or a strength that leaves no step.
    """
    scheduler = pipe.scheduler
    options: dict[str, Any] = {}
    if sigmas is not None and not scheduler.config.get("use_flow_sigmas"):
        options["sigmas"] = sigmas
    if scheduler.config.get("use_dynamic_shifting"):
        options["mu"] = shift
    if not options.keys() <= inspect.signature(scheduler.set_timesteps).parameters.keys():
        raise InvalidRequest(f"The sampler {request.sampler} does not fit this model.")
    timesteps: Tensor = retrieve_timesteps(scheduler, request.steps, **options)[0]
    if request.mode == "text":
        # Solvers round times to whole numbers, and would look for the first step by its time: close
        # to noise two of them are equal, and they would begin with the second and miss the last.
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(0)
        return timesteps
    timesteps = pipe.get_timesteps(request.steps, request.strength, timesteps.device)[0]
    if not len(timesteps):
        raise request.no_step_left()
    return timesteps


def dynamic_shift(pipe: Any, *, patches: int, max_shift: float) -> float:
    """How much an image of a sequence of `patches` shifts the schedule (Esser et al. 2024, 5.3.2).
    `max_shift`: the family's, if the model's files name none."""
    config = pipe.scheduler.config
    shift: float = calculate_shift(
        patches,
        config.get("base_image_seq_len", 256),
        config.get("max_image_seq_len", 4096),
        config.get("base_shift", 0.5),
        config.get("max_shift", max_shift),
    )
    return shift


def start_tensor(pipe: Any, request: ImageRequest, device: torch.device) -> Tensor:
    """The start image [1, 3, height, width] in -1..1, float32, resized to the size asked for.
    Raises `InvalidRequest` for a request without one."""
    start = request.start
    if start is None:
        raise InvalidRequest(START_OR_TEXT)
    image = Image.frombytes("RGB", (start.width_px, start.height_px), start.pixels)
    size = (request.width_px, request.height_px)
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    prepared: Tensor = pipe.image_processor.preprocess(
        image, height=request.height_px, width=request.width_px
    )
    return sent(prepared.to(torch.float32), device)


def mask_tensor(pipe: Any, request: ImageRequest, device: torch.device) -> Tensor:
    """The mask [1, 1, height, width], float32: 1 is drawn again, 0 is kept. Raises `InvalidRequest`
    for a request without one."""
    mask = request.mask
    if mask is None:
        raise InvalidRequest(MASK_AND_INPAINT)
    image = Image.frombytes("L", (mask.width_px, mask.height_px), mask.pixels)
    prepared: Tensor = pipe.mask_processor.preprocess(
        image, height=request.height_px, width=request.width_px
    )
    return sent(prepared, device)


def keep_unmasked(
    scheduler: Any, timesteps: Tensor, *, start: Tensor, noise: Tensor, mask: Tensor
) -> AfterStep:
    """After each step, put the start image back where `mask` is 0, as noisy as the step left the
    rest. All three are shaped as the latents."""

    def put_back(latents: Tensor, index: int) -> Tensor:
        kept = start
        if index < len(timesteps) - 1:
            kept = scheduler.scale_noise(start, timesteps[index + 1 : index + 2], noise)
        return (1 - mask) * kept + mask * latents

    return put_back


Retouch = Callable[[Tensor], Tensor]


def decode_latents(
    pipe: Any, latents: Tensor, *, shift: float, retouch: Retouch | None = None
) -> Arriving:
    """The image of `latents` [1, channels, height, width]; `shift` is added once unscaled.
    `retouch` is given the image [3, height, width] in 0..1, and returns what is to be shown."""
    unscaled = latents / pipe.vae.config.scaling_factor + shift
    decoded = pipe.vae.decode(unscaled, return_dict=False)[0]
    image = pipe.image_processor.postprocess(decoded, output_type="pt")[0]
    return start_rendering(retouch(image) if retouch else image, decoded=decoded)


def paste_kept(request: ImageRequest, image: Tensor) -> Tensor:
    """`image` [3, height, width] in 0..1 with the start image's own pixels wherever the request's
    mask keeps them; as it is for a request without a mask."""
    if request.start is None or request.mask is None:
        return image
    start, mask = (
        sent(torch.frombuffer(bytearray(pixels), dtype=torch.uint8), image.device)
        for pixels in (request.start.pixels, request.mask.pixels)
    )
    height_px, width_px = image.shape[1:]
    kept = start.view(height_px, width_px, 3).permute(2, 0, 1).float() / 255
    is_kept = mask.view(height_px, width_px) < 128  # as diffusers takes a mask for black and white
    return torch.where(is_kept, kept, image.float())
