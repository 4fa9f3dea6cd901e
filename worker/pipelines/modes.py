"""Where the U-Net families start from: noise, an image, an image and a mask.

Every tensor comes out of the methods of diffusers' own pipelines, called in the order in which
those pipelines call them: they draw from the request's generator, so the order counts.
"""

from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from worker.engine.errors import InvalidRequest
from worker.engine.request import ImageRequest, Mask, Mode, StartImage
from worker.pipelines.architectures import ARCHITECTURES
from worker.pipelines.copies import sent
from worker.pipelines.denoising import AfterStep, ModelInput
from worker.pipelines.loader import LoadedModel
from worker.pipelines.noise import Noise
from worker.pipelines.samplers import build_scheduler

_REPAINTING_CHANNELS = 9  # noisy latents, mask, latents of what is kept


@dataclass(frozen=True, slots=True)
class Start:
    """The first latents [1, channels, h, w], the timesteps to go through, and the hooks that a
    `Denoising` takes beside them."""

    latents: Tensor
    timesteps: Tensor
    model_input: ModelInput | None = None
    after_step: AfterStep | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """What the first latents depend on beside the request: the pipeline of its mode with its
    scheduler, the prompt embeddings' dtype, the rows that it will take, its generator."""

    pipe: Any
    device: torch.device
    dtype: torch.dtype
    rows: int
    generator: Noise


def pipeline_for(
    model: LoadedModel, request: ImageRequest, pipeline_class: Any, **settings: Any
) -> Any:
    """A pipeline of that class around the model's weights, with the request's own scheduler.

    Raises `InvalidRequest` for a size, sampler or mode that the model cannot do.
    """
    check_size(request, multiple=model.pipeline.vae_scale_factor)
    _check_mode(model, request.mode)
    settings_of_schedule = ARCHITECTURES[model.source.family].schedule_settings
    scheduler = build_scheduler(
        model.trained_scheduler,
        request.sampler,
        steps=request.steps,
        settings=settings_of_schedule,
    )
    scheduler.set_timesteps(request.steps)
    # Pipelines correct the scheduler that they are built with, and warn of it at each request;
    # ours has these settings already.
    components = model.pipeline.components | {"scheduler": model.trained_scheduler}
    pipe = pipeline_class(**components, **settings)
    pipe.scheduler = scheduler
    return pipe


def check_size(request: ImageRequest, *, multiple: int) -> None:
    """Raises `InvalidRequest` if the sides are not multiples of `multiple` pixels."""
    if request.width_px % multiple or request.height_px % multiple:
        raise InvalidRequest(f"Width and height must be multiples of {multiple} for this model.")


def _check_mode(model: LoadedModel, mode: Mode) -> None:
    if _only_repaints(model.pipeline) and mode != "inpaint":
        raise InvalidRequest("This model only inpaints: it needs a start image and a mask.")


def _only_repaints(pipe: Any) -> bool:
    return bool(pipe.unet.config.in_channels == _REPAINTING_CHANNELS)


def first_latents(request: ImageRequest, drawing: Drawing) -> Start:
    """Where `request` starts.

    Raises `InvalidRequest` if the strength is so small that no step is left.
    """
    if request.start is None:
        return _from_noise(request, drawing)
    timesteps = _timesteps_left(request, drawing)
    prepared = drawing.pipe.image_processor.preprocess(
        _enlarged(request.start, request), height=request.height_px, width=request.width_px
    )
    image = sent(prepared, drawing.device)
    if request.mask is None:
        return _from_image(image, timesteps, drawing)
    return _from_mask(request, request.mask, image, timesteps, drawing)


def _from_noise(request: ImageRequest, drawing: Drawing) -> Start:
    latents = drawing.pipe.prepare_latents(
        1,
        drawing.pipe.unet.config.in_channels,
        request.height_px,
        request.width_px,
        drawing.dtype,
        drawing.device,
        drawing.generator,
    )
    scheduler = drawing.pipe.scheduler
    # Else it looks for its first step by its time, and misses it if a spacing holds that twice.
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    return Start(latents, scheduler.timesteps)


def _timesteps_left(request: ImageRequest, drawing: Drawing) -> Tensor:
    timesteps, steps = drawing.pipe.get_timesteps(request.steps, request.strength, drawing.device)
    if steps < 1:
        raise request.no_step_left()
    left: Tensor = timesteps
    return left


def _enlarged(start: StartImage, request: ImageRequest) -> Image.Image:
    """The start image at the size asked for; only upscaling begins with a smaller one."""
    image = Image.frombytes("RGB", (start.width_px, start.height_px), start.pixels)
    size = (request.width_px, request.height_px)
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def _from_image(image: Tensor, timesteps: Tensor, drawing: Drawing) -> Start:
    latents = drawing.pipe.prepare_latents(
        image, timesteps[:1], 1, 1, drawing.dtype, drawing.device, drawing.generator
    )
    return Start(latents, timesteps)


def _from_mask(
    request: ImageRequest, mask: Mask, image: Tensor, timesteps: Tensor, drawing: Drawing
) -> Start:
    pipe, size = drawing.pipe, (request.height_px, request.width_px)
    image = image.to(torch.float32)
    prepared = pipe.mask_processor.preprocess(
        Image.frombytes("L", (mask.width_px, mask.height_px), mask.pixels), *size
    )
    painted = sent(prepared, drawing.device)  # [1, 1, height, width], 1 is drawn again
    blends = not _only_repaints(pipe)
    latents, noise, *image_latents = pipe.prepare_latents(
        1,
        pipe.vae.config.latent_channels,
        *size,
        drawing.dtype,
        drawing.device,
        drawing.generator,
        image=image,
        timestep=timesteps[:1],
        is_strength_max=request.strength == 1,
        return_noise=True,
        return_image_latents=blends,
    )
    # Encoded even if it is not looked at: encoding draws from the generator.
    latent_mask, kept_latents = pipe.prepare_mask_latents(
        painted,
        image * (painted < 0.5),
        1,
        *size,
        drawing.dtype,
        drawing.device,
        drawing.generator,
        False,
    )
    if blends:
        hook = _keep_unmasked(pipe.scheduler, timesteps, image_latents[0], noise, latent_mask)
        return Start(latents, timesteps, after_step=hook)
    beside = torch.cat([torch.cat([latent_mask, kept_latents], dim=1)] * drawing.rows)
    return Start(latents, timesteps, lambda rows: torch.cat([rows, beside], dim=1))


def _keep_unmasked(
    scheduler: Any, timesteps: Tensor, image: Tensor, noise: Tensor, mask: Tensor
) -> AfterStep:
    """After each step, put `image` back where `mask` is 0, as noisy as the step left the rest."""

    def put_back(latents: Tensor, index: int) -> Tensor:
        kept = image
        if index < len(timesteps) - 1:
            kept = scheduler.add_noise(image, noise, torch.tensor([timesteps[index + 1]]))
        return (1 - mask) * kept + mask * latents

    return put_back
