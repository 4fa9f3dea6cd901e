"""Qwen-Image: a language model that also sees reads the prompt, a transformer draws.

Latents are packed as Flux's are. The VAE is one of videos; an image is its first frame.
"""

from typing import Any

import numpy as np
import torch
from diffusers import QwenImageImg2ImgPipeline, QwenImageInpaintPipeline, QwenImagePipeline
from torch import Tensor

from worker.engine.errors import InvalidRequest
from worker.engine.request import ImageRequest
from worker.pipelines import chat_prompts
from worker.pipelines.copies import sent
from worker.pipelines.decoding import encode_start
from worker.pipelines.denoising import AfterStep, Denoising, guide, sampler_options
from worker.pipelines.flow_matching import (
    dynamic_shift,
    keep_unmasked,
    mask_tensor,
    pipeline_for,
    plan_timesteps,
    start_tensor,
)
from worker.pipelines.latent_scales import channel_statistics
from worker.pipelines.loader import LoadedModel
from worker.pipelines.modes import check_size
from worker.pipelines.noise import Noise, serve
from worker.pipelines.pixels import Arriving, start_rendering
from worker.pipelines.two_prompts import conditioning_of, rows_of, sides

_PIPELINES = {
    "text": QwenImagePipeline,
    "image": QwenImageImg2ImgPipeline,
    "inpaint": QwenImageInpaintPipeline,
    "upscale": QwenImageImg2ImgPipeline,
}
serve(*_PIPELINES.values())
_MAX_SHIFT = 1.15
_PATCH = 2
# What guides away from nothing in particular: without any words the pipeline would not guide.
_UNWANTED = " "
_UNREAD = 34  # tokens of the instruction that stands before the words
_READ = 512


def _wrap(pipe: Any, words: str) -> str:
    text: str = pipe.prompt_template_encode.format(words)
    return text


_READING = chat_prompts.Reading(
    wrap=_wrap, window=_UNREAD + _READ, layers=(-1,), unread=_UNREAD, is_filled=False
)


class QwenImage:
    """A `denoising.Adapter`: bit for bit what diffusers' pipelines of the family draw from a CPU
    generator.

    Prompts of other lengths share no call. A guided request is drawn with a negative prompt of one
    space if it has none, as its makers do.
    """

    @torch.no_grad()
    def begin(self, model: LoadedModel, request: ImageRequest) -> Denoising:
        _check(model, request)
        _place_positions(model)
        pipe = pipeline_for(model, request, _PIPELINES)
        timesteps = _plan(pipe, request)
        generator = Noise(request.seed)
        conditioning = _encode(model, request)
        dtype = conditioning["words"].dtype
        (latents, after_step), encoded = encode_start(
            model,
            request,
            generator,
            lambda: _first_latents(pipe, request, timesteps, generator, dtype),
        )
        rows = len(conditioning["words"])
        # As a shape: images of another shape but equal area must not share a batch.
        conditioning["patches"] = latents.new_empty(rows, *_grid_size(pipe, request), 0)
        return Denoising(
            request=request,
            model=model,
            adapter=self,
            scheduler=pipe.scheduler,
            timesteps=timesteps,
            generator=generator,
            latents=latents,
            conditioning=conditioning,
            rows=rows,
            step_options=sampler_options(pipe.scheduler, generator),
            after_step=after_step,
            encoded=encoded,
        )

    def predict(
        self, model: LoadedModel, latents: Tensor, times: Tensor, conditioning: dict[str, Tensor]
    ) -> Tensor:
        """See `Adapter.predict`. One call for all prompts, and one for all negative prompts."""
        _rows, height, width, _ = conditioning["patches"].shape
        return rows_of(
            [
                model.pipeline.transformer(
                    hidden_states=side.latents,
                    timestep=side.times.to(latents.dtype) / 1000,
                    encoder_hidden_states=side.words,
                    img_shapes=[[(1, height, width)]] * len(side.latents),
                    return_dict=False,
                )[0]
                for side in sides(latents, times, conditioning)
            ]
        )

    def guide(self, denoising: Denoising, prediction: Tensor) -> Tensor:
        """Guidance that leaves each patch the norm that it has without."""
        guided = guide(prediction, denoising.request.guidance_scale)
        if len(prediction) == 1:
            return guided
        _negative, positive = prediction.chunk(2)
        wanted = torch.norm(positive, dim=-1, keepdim=True)
        rescaled: Tensor = guided * (wanted / torch.norm(guided, dim=-1, keepdim=True))
        return rescaled

    def grid(self, denoising: Denoising) -> Tensor:
        return _unpacked(denoising)[0, :, 0]

    @torch.no_grad()
    def decode(self, denoising: Denoising) -> Arriving:
        pipe = denoising.model.pipeline
        latents = _unpacked(denoising).to(denoising.model.dtype)
        mean, inverse_deviation = (
            sent(numbers.to(latents.dtype), latents.device)
            for numbers in channel_statistics(pipe.vae)
        )
        unscaled = latents / inverse_deviation + mean
        decoded = pipe.vae.decode(unscaled, return_dict=False)[0][:, :, 0]
        image = pipe.image_processor.postprocess(decoded, output_type="pt")[0]
        return start_rendering(image, decoded=decoded)


def _check(model: LoadedModel, request: ImageRequest) -> None:
    check_size(request, multiple=model.pipeline.vae_scale_factor * _PATCH)
    if model.pipeline.transformer.config.guidance_embeds:  # diffusers' class has no such layers
        raise InvalidRequest("This model cannot be drawn with: it is told its guidance scale.")


def _grid_size(pipe: Any, request: ImageRequest) -> tuple[int, int]:
    """Rows and columns of packed patches."""
    patch_px = pipe.vae_scale_factor * _PATCH
    return request.height_px // patch_px, request.width_px // patch_px


def _place_positions(model: LoadedModel) -> None:
    """The transformer's tables of positions are moved here, once: in its first call it would wait
    for that."""
    rope = model.pipeline.transformer.pos_embed
    rope.pos_freqs = sent(rope.pos_freqs, model.device)
    rope.neg_freqs = sent(rope.neg_freqs, model.device)


def _plan(pipe: Any, request: ImageRequest) -> Tensor:
    rows, columns = _grid_size(pipe, request)
    shift = dynamic_shift(pipe, patches=rows * columns, max_shift=_MAX_SHIFT)
    sigmas = np.linspace(1.0, 1 / request.steps, request.steps)
    return plan_timesteps(pipe, request, shift=shift, sigmas=sigmas.tolist())


def _encode(model: LoadedModel, request: ImageRequest) -> dict[str, Tensor]:
    positive = chat_prompts.read(model, request.prompt, _READING, name="prompt")
    if request.guidance_scale <= 1:
        return conditioning_of(positive, None)
    unwanted = request.negative_prompt or _UNWANTED
    negative = chat_prompts.read(model, unwanted, _READING, name="negative prompt")
    return conditioning_of(positive, negative)


def _first_latents(
    pipe: Any,
    request: ImageRequest,
    timesteps: Tensor,
    generator: Noise,
    dtype: torch.dtype,
) -> tuple[Tensor, AfterStep | None]:
    """Packed latents [1, patches, channels * 4], and what follows each step."""
    device = pipe.vae.device  # the transformer may wait beside it
    channels = pipe.transformer.config.in_channels // _PATCH**2
    shape = (channels, request.height_px, request.width_px)
    if request.mode == "text":
        return pipe.prepare_latents(1, *shape, dtype, device, generator), None
    start = start_tensor(pipe, request, device)
    begun = pipe.prepare_latents(start, timesteps[:1], 1, *shape, dtype, device, generator)
    if request.mode != "inpaint":
        return begun, None
    latents, noise, kept = begun
    wanted = mask_tensor(pipe, request, device)
    masked = start * (wanted < 0.5)
    mask, _ = pipe.prepare_mask_latents(
        wanted, masked, 1, channels, 1, *shape[1:], dtype, device, generator
    )
    return latents, keep_unmasked(pipe.scheduler, timesteps, start=kept, noise=noise, mask=mask)


def _unpacked(denoising: Denoising) -> Tensor:
    """The latents as the VAE's frames: [1, channels, 1, height / 8, width / 8], scaled as the
    denoiser sees them."""
    pipe, request = denoising.model.pipeline, denoising.request
    unpacked: Tensor = pipe._unpack_latents(
        denoising.latents, request.height_px, request.width_px, pipe.vae_scale_factor
    )
    return unpacked
