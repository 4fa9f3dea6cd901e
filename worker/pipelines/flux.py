"""Flux.1, dev (told its guidance scale) and schnell (distilled without): CLIP, T5, a transformer.

Latents are packed: each 2x2 patch of the VAE's grid is one token of four times the channels.
"""

from typing import Any, cast

import numpy as np
import torch
from diffusers import FluxImg2ImgPipeline, FluxInpaintPipeline, FluxPipeline
from torch import Tensor

from worker.engine.errors import InvalidRequest
from worker.engine.request import NO_NEGATIVE_PROMPT, ImageRequest
from worker.pipelines.decoding import encode_start
from worker.pipelines.denoising import AfterStep, Denoising, sampler_options
from worker.pipelines.flow_matching import (
    decode_latents,
    dynamic_shift,
    keep_unmasked,
    mask_tensor,
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
    "text": FluxPipeline,
    "image": FluxImg2ImgPipeline,
    "inpaint": FluxInpaintPipeline,
    "upscale": FluxImg2ImgPipeline,
}
serve(*_PIPELINES.values())
_MAX_SHIFT = 1.15
_PATCH = 2


class Flux:
    """A `denoising.Adapter`: bit for bit what diffusers' pipelines of the family draw from a CPU
    generator.

    One row a request: guidance was distilled into the weights.
    """

    @torch.no_grad()
    def begin(self, model: LoadedModel, request: ImageRequest) -> Denoising:
        _check(model, request)
        pipe = pipeline_for(model, request, _PIPELINES)
        timesteps = _plan(pipe, request)
        generator = Noise(request.seed)
        conditioning = _encode(model, request)
        dtype = conditioning["encoder_hidden_states"].dtype
        (latents, positions, after_step), encoded = encode_start(
            model,
            request,
            generator,
            lambda: _first_latents(pipe, request, timesteps, generator, dtype),
        )
        # As a grid: images of different shape but equal area must not share a batch.
        conditioning["img_ids"] = positions.view(1, *_grid_size(pipe, request), 3)
        return Denoising(
            request=request,
            model=model,
            adapter=self,
            scheduler=pipe.scheduler,
            timesteps=timesteps,
            generator=generator,
            latents=latents,
            conditioning=conditioning,
            rows=1,
            step_options=sampler_options(pipe.scheduler, generator),
            after_step=after_step,
            encoded=encoded,
        )

    def predict(
        self, model: LoadedModel, latents: Tensor, times: Tensor, conditioning: dict[str, Tensor]
    ) -> Tensor:
        """See `Adapter.predict`. The positions are the same in all rows; the model takes one."""
        told = dict(conditioning)
        img_ids = told.pop("img_ids")[0].flatten(0, 1)
        tokens = told["encoder_hidden_states"].shape[1]
        prediction: Tensor = model.pipeline.transformer(
            hidden_states=latents,
            timestep=times.to(latents.dtype) / 1000,
            img_ids=img_ids,
            txt_ids=img_ids.new_zeros(tokens, 3),
            **told,
            return_dict=False,
        )[0]
        return prediction

    def guide(self, denoising: Denoising, prediction: Tensor) -> Tensor:
        return prediction

    def grid(self, denoising: Denoising) -> Tensor:
        return _unpacked(denoising)[0]

    @torch.no_grad()
    def decode(self, denoising: Denoising) -> Arriving:
        pipe = denoising.model.pipeline
        return decode_latents(pipe, _unpacked(denoising), shift=pipe.vae.config.shift_factor)


def _check(model: LoadedModel, request: ImageRequest) -> None:
    check_size(request, multiple=model.pipeline.vae_scale_factor * _PATCH)
    if request.negative_prompt:
        raise InvalidRequest(NO_NEGATIVE_PROMPT)


def _grid_size(pipe: Any, request: ImageRequest) -> tuple[int, int]:
    """Rows and columns of packed patches."""
    patch_px = pipe.vae_scale_factor * _PATCH
    return request.height_px // patch_px, request.width_px // patch_px


def _plan(pipe: Any, request: ImageRequest) -> Tensor:
    rows, columns = _grid_size(pipe, request)
    shift = dynamic_shift(pipe, patches=rows * columns, max_shift=_MAX_SHIFT)
    sigmas = np.linspace(1.0, 1 / request.steps, request.steps)
    return plan_timesteps(pipe, request, shift=shift, sigmas=sigmas.tolist())


def _encode(model: LoadedModel, request: ImageRequest) -> dict[str, Tensor]:
    """T5's embeddings [1, tokens, width], CLIP's pooled one [1, width], and the guidance scale [1]
    where the model is told it."""
    words = embed(model, request, guided=False)
    pooled = cast(Tensor, words.pooled)
    conditioning = {"encoder_hidden_states": words.positive, "pooled_projections": pooled}
    if model.pipeline.transformer.config.guidance_embeds:
        conditioning["guidance"] = torch.full(
            [1], request.guidance_scale, dtype=torch.float32, device=model.device
        )
    return conditioning


def _first_latents(
    pipe: Any,
    request: ImageRequest,
    timesteps: Tensor,
    generator: Noise,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, AfterStep | None]:
    """Packed latents [1, patches, channels * 4], their positions [patches, 3], and what follows
    each step."""
    device = pipe.vae.device  # the transformer may wait beside it
    channels = pipe.transformer.config.in_channels // _PATCH**2
    shape = (channels, request.height_px, request.width_px)
    if request.mode == "text":
        return *pipe.prepare_latents(1, *shape, dtype, device, generator), None
    start = start_tensor(pipe, request, device)
    begun = pipe.prepare_latents(start, timesteps[:1], 1, *shape, dtype, device, generator)
    if request.mode != "inpaint":
        return *begun, None
    latents, noise, kept, positions = begun
    wanted = mask_tensor(pipe, request, device)
    masked = start * (wanted < 0.5)
    mask, _ = pipe.prepare_mask_latents(
        wanted, masked, 1, channels, 1, *shape[1:], dtype, device, generator
    )
    after_step = keep_unmasked(pipe.scheduler, timesteps, start=kept, noise=noise, mask=mask)
    return latents, positions, after_step


def _unpacked(denoising: Denoising) -> Tensor:
    """The latents as the VAE knows them: [1, channels, height / 8, width / 8]."""
    pipe, request = denoising.model.pipeline, denoising.request
    unpacked: Tensor = pipe._unpack_latents(
        denoising.latents, request.height_px, request.width_px, pipe.vae_scale_factor
    )
    return unpacked
