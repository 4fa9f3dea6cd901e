"""Z-Image and Z-Image Turbo: a language model reads the prompt, one stream of a transformer draws.

The transformer predicts against the direction of the noise, and guidance is counted from 0: a
scale of s weighs the prompt s + 1 times.
"""

from functools import partial
from typing import Any

import torch
from diffusers import ZImageImg2ImgPipeline, ZImageInpaintPipeline, ZImagePipeline
from torch import Tensor

from worker.engine.errors import InvalidRequest
from worker.engine.request import ImageRequest
from worker.pipelines import chat_prompts
from worker.pipelines.copies import sent
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
from worker.pipelines.two_prompts import conditioning_of, rows_of, sides

_PIPELINES = {
    "text": ZImagePipeline,
    "image": ZImageImg2ImgPipeline,
    "inpaint": ZImageInpaintPipeline,
    "upscale": ZImageImg2ImgPipeline,
}
serve(*_PIPELINES.values())
_MAX_SHIFT = 1.15
_PATCH = 2
_READING = chat_prompts.Reading(
    wrap=partial(chat_prompts.as_message, thinking=True), window=512, layers=(-2,)
)


class ZImage:
    """A `denoising.Adapter`: bit for bit what diffusers' pipelines of the family draw from a CPU
    generator.

    Prompts of other lengths share no call. The latents are float32 in any format of the weights.
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
        return Denoising(
            request=request,
            model=model,
            adapter=self,
            scheduler=pipe.scheduler,
            timesteps=timesteps,
            generator=generator,
            latents=latents.float(),
            conditioning=conditioning,
            rows=len(conditioning["words"]),
            step_options=sampler_options(pipe.scheduler, generator),
            after_step=after_step,
            encoded=encoded,
        )

    def predict(
        self, model: LoadedModel, latents: Tensor, times: Tensor, conditioning: dict[str, Tensor]
    ) -> Tensor:
        """See `Adapter.predict`. One call for all prompts and negative prompts, of their lengths:
        the transformer takes lists."""
        transformer = model.pipeline.transformer
        told = sides(latents.to(transformer.dtype)[:, :, None], times, conditioning)
        images = [image for side in told for image in side.latents]
        answers: list[Tensor] = transformer(
            images,
            (1000 - torch.cat([side.times for side in told])) / 1000,
            [words for side in told for words in side.words],
            return_dict=False,
        )[0]
        answer = torch.stack(answers).squeeze(2)
        return rows_of(list(answer.chunk(len(told))))

    def guide(self, denoising: Denoising, prediction: Tensor) -> Tensor:
        prediction = prediction.float()
        if len(prediction) > 1:
            negative, positive = prediction.chunk(2)
            prediction = positive + denoising.request.guidance_scale * (positive - negative)
        return -prediction

    def grid(self, denoising: Denoising) -> Tensor:
        return denoising.latents[0]

    @torch.no_grad()
    def decode(self, denoising: Denoising) -> Arriving:
        pipe = denoising.model.pipeline
        latents = denoising.latents.to(denoising.model.dtype)
        return decode_latents(pipe, latents, shift=pipe.vae.config.shift_factor)


def _check(model: LoadedModel, request: ImageRequest) -> None:
    patch_px = model.pipeline.vae_scale_factor * _PATCH
    check_size(request, multiple=patch_px)
    # Beyond its table of positions the transformer would fail inside a call shared with others.
    _frames, *sides_in_patches = model.pipeline.transformer.config.axes_lens
    longest_px = min(sides_in_patches) * patch_px
    if max(request.width_px, request.height_px) > longest_px:
        raise InvalidRequest(f"This model draws at most {longest_px} pixels a side.")


def _place_positions(model: LoadedModel) -> None:
    """The transformer's table of positions is made and moved here, once: in its first call it would
    wait for that."""
    rope = model.pipeline.transformer.rope_embedder
    if rope.freqs_cis is None:
        tables = rope.precompute_freqs_cis(rope.axes_dims, rope.axes_lens, theta=rope.theta)
        rope.freqs_cis = [sent(table, model.device) for table in tables]


def _plan(pipe: Any, request: ImageRequest) -> Tensor:
    patch_px = pipe.vae_scale_factor * _PATCH
    patches = (request.height_px // patch_px) * (request.width_px // patch_px)
    shift = dynamic_shift(pipe, patches=patches, max_shift=_MAX_SHIFT)
    sigmas = torch.linspace(1.0, 1 / request.steps, request.steps).tolist()
    return plan_timesteps(pipe, request, shift=shift, sigmas=sigmas)


def _encode(model: LoadedModel, request: ImageRequest) -> dict[str, Tensor]:
    positive = chat_prompts.read(model, request.prompt, _READING, name="prompt")
    if request.guidance_scale <= 0:
        return conditioning_of(positive, None)
    unwanted = request.negative_prompt
    negative = chat_prompts.read(model, unwanted, _READING, name="negative prompt")
    return conditioning_of(positive, negative)


def _first_latents(
    pipe: Any,
    request: ImageRequest,
    timesteps: Tensor,
    generator: Noise,
    dtype: torch.dtype,
) -> tuple[Tensor, AfterStep | None]:
    """Latents [1, channels, height / 8, width / 8], and what follows each step."""
    device = pipe.vae.device  # the transformer may wait beside it
    shape = (pipe.transformer.in_channels, request.height_px, request.width_px)
    if request.mode == "text":
        return pipe.prepare_latents(1, *shape, torch.float32, device, generator), None
    start = start_tensor(pipe, request, device)
    begun = pipe.prepare_latents(start, timesteps[:1], 1, *shape, dtype, device, generator)
    if request.mode != "inpaint":
        return begun, None
    latents, noise, kept = begun
    wanted = mask_tensor(pipe, request, device)
    masked = start * (wanted < 0.5)
    mask, _ = pipe.prepare_mask_latents(wanted, masked, 1, *shape[1:], dtype, device, generator)
    return latents, keep_unmasked(pipe.scheduler, timesteps, start=kept, noise=noise, mask=mask)
