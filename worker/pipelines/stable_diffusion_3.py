"""Stable Diffusion 3 and 3.5: two CLIP encoders and T5 (which may be absent), a transformer."""

from functools import partial
from typing import Any

import torch
from diffusers import (
    StableDiffusion3Img2ImgPipeline,
    StableDiffusion3InpaintPipeline,
    StableDiffusion3Pipeline,
)
from torch import Tensor

from worker.engine.errors import InvalidRequest
from worker.engine.request import ImageRequest
from worker.pipelines.decoding import encode_start
from worker.pipelines.denoising import AfterStep, Denoising, guide, sampler_options
from worker.pipelines.flow_matching import (
    decode_latents,
    dynamic_shift,
    keep_unmasked,
    mask_tensor,
    paste_kept,
    pipeline_for,
    plan_timesteps,
    start_tensor,
)
from worker.pipelines.loader import LoadedModel
from worker.pipelines.modes import check_size
from worker.pipelines.noise import Noise, serve
from worker.pipelines.pixels import Arriving
from worker.pipelines.prompts import embed

_PIPELINES = {
    "text": StableDiffusion3Pipeline,
    "image": StableDiffusion3Img2ImgPipeline,
    "inpaint": StableDiffusion3InpaintPipeline,
    "upscale": StableDiffusion3Img2ImgPipeline,
}
serve(*_PIPELINES.values())
_MAX_SHIFT = 1.16
# The inpaint pipeline blends 16-channel latents; it knows no other width that is a mere denoiser.
_BLENDED_CHANNELS = 16


class StableDiffusion3:
    """A `denoising.Adapter`: bit for bit what diffusers' pipelines of the family draw from a CPU
    generator, but that an inpainted image is decoded with the VAE's shift, and has the start
    image's own pixels where they are kept.

    Skip-layer guidance is not offered.
    """

    @torch.no_grad()
    def begin(self, model: LoadedModel, request: ImageRequest) -> Denoising:
        _check(model, request)
        pipe = pipeline_for(model, request, _PIPELINES)
        shift = dynamic_shift(pipe, patches=_patches(pipe, request), max_shift=_MAX_SHIFT)
        timesteps = plan_timesteps(pipe, request, shift=shift)
        generator = Noise(request.seed)
        conditioning = _encode(model, request)
        dtype = conditioning["encoder_hidden_states"].dtype
        (latents, after_step), encoded = encode_start(
            model,
            request,
            generator,
            lambda: _first_latents(pipe, request, timesteps, generator, dtype),
        )
        return Denoising(
            request=request,
            model=model,
            adapter=self,
            scheduler=pipe.scheduler,
            timesteps=timesteps,
            generator=generator,
            latents=latents,
            conditioning=conditioning,
            rows=len(conditioning["encoder_hidden_states"]),
            step_options=sampler_options(pipe.scheduler, generator),
            after_step=after_step,
            encoded=encoded,
        )

    def predict(
        self, model: LoadedModel, latents: Tensor, times: Tensor, conditioning: dict[str, Tensor]
    ) -> Tensor:
        prediction: Tensor = model.pipeline.transformer(
            hidden_states=latents, timestep=times, **conditioning, return_dict=False
        )[0]
        return prediction

    def guide(self, denoising: Denoising, prediction: Tensor) -> Tensor:
        return guide(prediction, denoising.request.guidance_scale)

    def grid(self, denoising: Denoising) -> Tensor:
        return denoising.latents[0]

    @torch.no_grad()
    def decode(self, denoising: Denoising) -> Arriving:
        pipe = denoising.model.pipeline
        # diffusers' inpaint pipeline encodes with the shift and decodes without it: all colours
        # move, those of what is kept too.
        return decode_latents(
            pipe,
            denoising.latents,
            shift=pipe.vae.config.shift_factor,
            retouch=partial(paste_kept, denoising.request),
        )


def _check(model: LoadedModel, request: ImageRequest) -> None:
    pipe = model.pipeline
    patch_px = pipe.vae_scale_factor * pipe.patch_size
    check_size(request, multiple=patch_px)
    # Beyond its table of positions the transformer would fail inside a call shared with others.
    longest = pipe.transformer.config.pos_embed_max_size
    if longest and max(request.width_px, request.height_px) > longest * patch_px:
        sentence = f"This model draws at most {longest * patch_px} pixels a side."
        raise InvalidRequest(sentence)
    if request.mode == "inpaint" and pipe.transformer.config.in_channels != _BLENDED_CHANNELS:
        raise InvalidRequest("This model does not inpaint.")


def _patches(pipe: Any, request: ImageRequest) -> int:
    patch_px = pipe.vae_scale_factor * pipe.patch_size
    patches: int = (request.height_px // patch_px) * (request.width_px // patch_px)
    return patches


def _encode(model: LoadedModel, request: ImageRequest) -> dict[str, Tensor]:
    """Embeddings [rows, tokens, width] and pooled ones [rows, width]."""
    # As the pipeline decides it: guidance of 1 or less needs no second row.
    words = embed(model, request, guided=request.guidance_scale > 1)
    return {
        "encoder_hidden_states": _rows(words.negative, words.positive),
        "pooled_projections": _rows(words.negative_pooled, words.pooled),
    }


def _rows(negative: Tensor | None, positive: Tensor | None) -> Tensor:
    return torch.cat([part for part in (negative, positive) if part is not None])


def _first_latents(
    pipe: Any,
    request: ImageRequest,
    timesteps: Tensor,
    generator: Noise,
    dtype: torch.dtype,
) -> tuple[Tensor, AfterStep | None]:
    """Latents [1, channels, height / 8, width / 8], and what follows each step."""
    device = pipe.vae.device  # the transformer may wait beside it
    size = (request.height_px, request.width_px)
    if request.mode == "text":
        channels = pipe.transformer.config.in_channels
        return pipe.prepare_latents(1, channels, *size, dtype, device, generator), None
    start = start_tensor(pipe, request, device)
    if request.mode != "inpaint":
        return pipe.prepare_latents(start, timesteps[:1], 1, 1, dtype, device, generator), None
    latents, noise, kept = pipe.prepare_latents(
        1,
        pipe.vae.config.latent_channels,
        *size,
        dtype,
        device,
        generator,
        image=start,
        timestep=timesteps[:1],
        is_strength_max=request.strength == 1.0,
        return_noise=True,
        return_image_latents=True,
    )
    wanted = mask_tensor(pipe, request, device)
    masked = start * (wanted < 0.5)
    mask, _ = pipe.prepare_mask_latents(
        wanted, masked, 1, 1, *size, dtype, device, generator, do_classifier_free_guidance=False
    )
    return latents, keep_unmasked(pipe.scheduler, timesteps, start=kept, noise=noise, mask=mask)
