"""Stable Diffusion 1 and 2: one CLIP text encoder, a U-Net, a VAE."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from worker.engine.errors import InvalidRequest
from worker.engine.request import ImageRequest
from worker.pipelines.denoising import Denoising, guide, sampler_options
from worker.pipelines.loader import LoadedModel
from worker.pipelines.pixels import Rendering, to_pixels
from worker.pipelines.prompts import embed
from worker.pipelines.samplers import build_scheduler


class StableDiffusion:
    """The adapter: bit for bit what `StableDiffusionPipeline` draws from a CPU generator."""

    @torch.no_grad()
    def begin(self, model: LoadedModel, request: ImageRequest) -> Denoising:
        """See `Adapter.begin`."""
        pipe = model.pipeline
        check_size(request, multiple=pipe.vae_scale_factor)
        scheduler = build_scheduler(model.trained_scheduler, request.sampler, steps=request.steps)
        pipe.scheduler = scheduler
        generator = torch.Generator("cpu").manual_seed(request.seed)
        conditioning = self._encode(model, request)
        scheduler.set_timesteps(request.steps)
        latents = pipe.prepare_latents(
            1,
            pipe.unet.config.in_channels,
            request.height_px,
            request.width_px,
            conditioning["encoder_hidden_states"].dtype,
            model.device,
            generator,
        )
        return Denoising(
            request=request,
            model=model,
            adapter=self,
            scheduler=scheduler,
            timesteps=scheduler.timesteps,
            generator=generator,
            latents=latents,
            conditioning=conditioning,
            rows=len(conditioning["encoder_hidden_states"]),
            step_options=sampler_options(scheduler, generator),
        )

    def predict(
        self, model: LoadedModel, latents: Tensor, times: Tensor, conditioning: dict[str, Tensor]
    ) -> Tensor:
        """See `Adapter.predict`."""
        prediction: Tensor = model.pipeline.unet(
            latents, times, **conditioning, return_dict=False
        )[0]
        return prediction

    def guide(self, denoising: Denoising, prediction: Tensor) -> Tensor:
        """See `Adapter.guide`."""
        return guide(prediction, denoising.request.guidance_scale)

    def grid(self, denoising: Denoising) -> Tensor:
        """See `Adapter.grid`."""
        return denoising.latents[0]

    @torch.no_grad()
    def decode(self, denoising: Denoising) -> Rendering:
        """See `Adapter.decode`."""
        pipe = denoising.model.pipeline
        scaled = denoising.latents / pipe.vae.config.scaling_factor
        decoded = pipe.vae.decode(scaled, return_dict=False, generator=denoising.generator)[0]
        checked, flags = pipe.run_safety_checker(decoded, decoded.device, decoded.dtype)
        is_flagged = bool(flags and flags[0])
        # The checker's black picture is already in 0..1.
        picture: np.ndarray[Any, Any] = pipe.image_processor.postprocess(
            checked, output_type="np", do_denormalize=[not is_flagged]
        )[0]
        return Rendering(*to_pixels(picture), blacked_out=is_flagged)

    def _encode(self, model: LoadedModel, request: ImageRequest) -> dict[str, Tensor]:
        """Embeddings [rows, tokens, width], and the embedded guidance scale where the U-Net was
        distilled to be told it (as LCM's are)."""
        pipe = model.pipeline
        wants_scale = pipe.unet.config.time_cond_proj_dim
        # As the pipeline decides it: guidance of 1 or less needs no second row.
        has_guidance = request.guidance_scale > 1 and wants_scale is None
        words = embed(model, request, guided=has_guidance)
        embeddings = words.positive
        if words.negative is not None:
            embeddings = torch.cat([words.negative, words.positive])
        conditioning = {"encoder_hidden_states": embeddings}
        if wants_scale is not None:
            scale = torch.tensor(request.guidance_scale - 1).repeat(1)
            conditioning["timestep_cond"] = pipe.get_guidance_scale_embedding(
                scale, embedding_dim=wants_scale
            ).to(device=model.device, dtype=embeddings.dtype)
        return conditioning


def check_size(request: ImageRequest, *, multiple: int) -> None:
    """Raises `InvalidRequest` where the sides are not multiples of `multiple` pixels."""
    if request.width_px % multiple or request.height_px % multiple:
        raise InvalidRequest(f"Width and height must be multiples of {multiple} for this model.")
