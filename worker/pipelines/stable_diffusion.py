"""Stable Diffusion 1 and 2: CLIP text encoder, U-Net, VAE, each as a stage of its own."""

from typing import Any

import numpy as np
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
    """Return the picture, bit for bit the one `StableDiffusionPipeline` makes on a CPU generator.

    Raises `InvalidRequest` for a size or sampler the model cannot do, `Cancelled` within one step.
    """
    pipe = model.pipeline
    _check_size(pipe, request)
    pipe.scheduler = build_scheduler(model.trained_scheduler, request.sampler, steps=request.steps)
    generator = torch.Generator("cpu").manual_seed(request.seed)
    clock.enter("encoding")
    positive, negative = _encode(model, request)
    clock.enter("denoising")
    latents = _denoise(model, request, clock, positive, negative, generator, preview_every)
    clock.enter("decoding")
    return _decode(pipe, latents, generator)


def _check_size(pipe: Any, request: ImageRequest) -> None:
    multiple = pipe.vae_scale_factor
    if request.width_px % multiple or request.height_px % multiple:
        raise InvalidRequest(f"Width and height must be multiples of {multiple} for this model.")


def _encode(model: LoadedModel, request: ImageRequest) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the embeddings of prompt and negative prompt: [1, tokens, width] each."""
    pipe = model.pipeline
    # As the pipeline decides it: guidance of 1 or less needs no second row.
    has_guidance = request.guidance_scale > 1 and pipe.unet.config.time_cond_proj_dim is None
    positive, negative = pipe.encode_prompt(
        request.prompt, model.device, 1, has_guidance, request.negative_prompt
    )
    return positive, negative if has_guidance else None


def _denoise(
    model: LoadedModel,
    request: ImageRequest,
    clock: StageClock,
    positive: torch.Tensor,
    negative: torch.Tensor | None,
    generator: torch.Generator,
    preview_every: int,
) -> torch.Tensor:
    """Return the latents: [1, channels, height / 8, width / 8]."""

    def step_done(_pipe: object, index: int, _t: object, tensors: dict[str, Any]) -> dict[str, Any]:
        done = index + 1
        preview = None
        if preview_every and done % preview_every == 0 and done < request.steps:
            preview = _preview(model, tensors["latents"])
        clock.step_done(min(done, request.steps), preview)
        return {}

    latents: torch.Tensor = model.pipeline(
        prompt_embeds=positive,
        negative_prompt_embeds=negative,
        width=request.width_px,
        height=request.height_px,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        generator=generator,
        callback_on_step_end=step_done,
        output_type="latent",
        return_dict=False,
    )[0]
    return latents


def _preview(model: LoadedModel, latents: torch.Tensor) -> bytes | None:
    preview = model.preview()
    return preview.render(latents[0]) if preview else None


def _decode(pipe: Any, latents: torch.Tensor, generator: torch.Generator) -> Rendering:
    scaled = latents / pipe.vae.config.scaling_factor
    decoded = pipe.vae.decode(scaled, return_dict=False, generator=generator)[0]
    checked, flags = pipe.run_safety_checker(decoded, decoded.device, decoded.dtype)
    is_flagged = bool(flags and flags[0])
    # The checker's black picture is already in 0..1.
    picture: np.ndarray[Any, Any] = pipe.image_processor.postprocess(
        checked, output_type="np", do_denormalize=[not is_flagged]
    )[0]
    return Rendering(*to_pixels(picture), blacked_out=is_flagged)
