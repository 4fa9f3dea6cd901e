"""FLUX.2 klein, distilled (a few steps without guidance) and base: a language model reads the
prompt, a transformer draws.

A patch of 2x2 latents is one token; the VAE keeps mean and deviation of such patches. Images that
klein is given, it takes as references to edit, which is another thing than to begin from one.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from diffusers import Flux2KleinPipeline
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from torch import Tensor

from worker.engine.errors import InvalidRequest
from worker.engine.request import NO_NEGATIVE_PROMPT, ImageRequest
from worker.pipelines import chat_prompts
from worker.pipelines.denoising import Denoising, guide, sampler_options
from worker.pipelines.flow_matching import pipeline_for, plan_timesteps
from worker.pipelines.latent_scales import patch_statistics
from worker.pipelines.loader import LoadedModel
from worker.pipelines.modes import check_size
from worker.pipelines.noise import Noise, serve
from worker.pipelines.pixels import Arriving, start_rendering
from worker.pipelines.two_prompts import conditioning_of, rows_of, sides

_PIPELINES = {"text": Flux2KleinPipeline}
serve(*_PIPELINES.values())
_PATCH = 2
_READING = chat_prompts.Reading(
    wrap=partial(chat_prompts.as_message, thinking=False),
    window=512,
    layers=(9, 18, 27),
    keeps_filling=True,
)


class Flux2Klein:
    """A `denoising.Adapter`: bit for bit what diffusers' pipeline of the family draws from a CPU
    generator.

    A distilled model has one row a request, whatever the guidance scale.
    """

    @torch.no_grad()
    def begin(self, model: LoadedModel, request: ImageRequest) -> Denoising:
        _check(model, request)
        pipe = pipeline_for(model, request, _PIPELINES)
        timesteps = _plan(pipe, request)
        generator = Noise(request.seed)
        conditioning = _encode(model, request)
        latents, positions = pipe.prepare_latents(
            1,
            pipe.transformer.config.in_channels // _PATCH**2,
            request.height_px,
            request.width_px,
            conditioning["words"].dtype,
            pipe.vae.device,  # the transformer may wait beside it
            generator,
        )
        rows = len(conditioning["words"])
        # As a grid: images of different shape but equal area must not share a batch.
        grid = positions.view(1, *_grid_size(pipe, request), positions.shape[-1])
        conditioning["img_ids"] = grid.expand(rows, -1, -1, -1)
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
        )

    def predict(
        self, model: LoadedModel, latents: Tensor, times: Tensor, conditioning: dict[str, Tensor]
    ) -> Tensor:
        """See `Adapter.predict`. One call for all prompts, and one for all negative prompts; the
        positions are the same in all rows, and the model takes one."""
        transformer = model.pipeline.transformer
        img_ids = conditioning["img_ids"][0].flatten(0, 1)
        txt_ids = _positions_in_text(conditioning["words"].shape[1], img_ids)
        return rows_of(
            [
                transformer(
                    hidden_states=_as_packed(side.latents).to(transformer.dtype),
                    timestep=side.times.to(latents.dtype) / 1000,
                    encoder_hidden_states=side.words,
                    txt_ids=txt_ids,
                    img_ids=img_ids,
                    return_dict=False,
                )[0]
                for side in sides(latents, times, conditioning)
            ]
        )

    def guide(self, denoising: Denoising, prediction: Tensor) -> Tensor:
        return guide(prediction, denoising.request.guidance_scale)

    def grid(self, denoising: Denoising) -> Tensor:
        pipe = denoising.model.pipeline
        grid: Tensor = pipe._unpatchify_latents(_patches(denoising))[0]
        return grid

    @torch.no_grad()
    def decode(self, denoising: Denoising) -> Arriving:
        pipe, latents = denoising.model.pipeline, _patches(denoising)
        mean, deviation = patch_statistics(pipe.vae, latents)
        unscaled = pipe._unpatchify_latents(latents * deviation + mean)
        decoded = pipe.vae.decode(unscaled, return_dict=False)[0]
        image = pipe.image_processor.postprocess(decoded, output_type="pt")[0]
        return start_rendering(image, decoded=decoded)


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
    shift = compute_empirical_mu(rows * columns, request.steps)
    sigmas = np.linspace(1.0, 1 / request.steps, request.steps)
    return plan_timesteps(pipe, request, shift=shift, sigmas=sigmas.tolist())


def _encode(model: LoadedModel, request: ImageRequest) -> dict[str, Tensor]:
    positive = chat_prompts.read(model, request.prompt, _READING, name="prompt")
    if request.guidance_scale <= 1 or model.pipeline.config.is_distilled:
        return conditioning_of(positive, None)
    return conditioning_of(positive, chat_prompts.read(model, "", _READING, name="negative prompt"))


def _as_packed(latents: Tensor) -> Tensor:
    """The same numbers, one channel after the other in memory, as the pipeline's packing leaves
    them: of few patches a matrix product's last bits depend on that."""
    return latents.mT.contiguous().mT


def _positions_in_text(tokens: int, like: Tensor) -> Tensor:
    """[tokens, 4]: all at one place and time, one after the other."""
    positions = like.new_zeros(tokens, 4)
    positions[:, 3] = torch.arange(tokens, device=like.device)
    return positions


def _patches(denoising: Denoising) -> Tensor:
    """The latents as a grid of patches [1, channels * 4, height / 16, width / 16], scaled as the
    denoiser sees them."""
    rows, columns = denoising.conditioning["img_ids"].shape[1:3]
    return denoising.latents.mT.reshape(1, -1, rows, columns)
