"""Stable Diffusion 1 and 2: one CLIP text encoder, a U-Net, a VAE."""

from typing import Any, ClassVar

import torch
from diffusers import (
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
)
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from torch import Tensor

from worker.engine.request import ImageRequest, Mode
from worker.pipelines.copies import sent
from worker.pipelines.decoding import encode_start
from worker.pipelines.denoising import Denoising, guide, sampler_options
from worker.pipelines.loader import LoadedModel
from worker.pipelines.modes import Drawing, first_latents, pipeline_for
from worker.pipelines.noise import Noise, serve
from worker.pipelines.pixels import Arriving, start_rendering
from worker.pipelines.prompts import PromptEmbeddings, embed
from worker.pipelines.schedules import guidance_rescale


class StableDiffusion:
    """A `denoising.Adapter`: bit for bit what the pipelines below draw from a CPU generator.

    Also the frame of `StableDiffusionXL`, which differs in conditioning and in the VAE.
    """

    pipelines: ClassVar[dict[Mode, Any]] = {
        "text": StableDiffusionPipeline,
        "image": StableDiffusionImg2ImgPipeline,
        "inpaint": StableDiffusionInpaintPipeline,
        "upscale": StableDiffusionImg2ImgPipeline,
    }

    @torch.no_grad()
    def begin(self, model: LoadedModel, request: ImageRequest) -> Denoising:
        settings = self._settings(model, request.mode)
        pipe = pipeline_for(model, request, self.pipelines[request.mode], **settings)
        wants_scale = pipe.unet.config.time_cond_proj_dim is not None
        # As the pipeline decides it: guidance of 1 or less needs no second row.
        words = embed(model, request, guided=request.guidance_scale > 1 and not wants_scale)
        conditioning = self._conditioning(pipe, request, words)
        if wants_scale:
            conditioning["timestep_cond"] = _embedded_scale(pipe, request, words.positive)
        rows = len(conditioning["encoder_hidden_states"])
        generator = Noise(request.seed)
        drawing = Drawing(pipe, model.device, words.positive.dtype, rows, generator)
        start, encoded = encode_start(
            model, request, generator, lambda: first_latents(request, drawing)
        )
        return Denoising(
            request=request,
            model=model,
            adapter=self,
            scheduler=pipe.scheduler,
            timesteps=start.timesteps,
            generator=generator,
            latents=start.latents,
            conditioning=conditioning,
            rows=rows,
            step_options=sampler_options(pipe.scheduler, generator),
            model_input=start.model_input,
            after_step=start.after_step,
            encoded=encoded,
        )

    def predict(
        self, model: LoadedModel, latents: Tensor, times: Tensor, conditioning: dict[str, Tensor]
    ) -> Tensor:
        prediction: Tensor = model.pipeline.unet(latents, times, **conditioning, return_dict=False)[
            0
        ]
        return prediction

    def guide(self, denoising: Denoising, prediction: Tensor) -> Tensor:
        guided = guide(prediction, denoising.request.guidance_scale)
        rescale = guidance_rescale(denoising.model.trained_scheduler)
        if not rescale or len(prediction) == 1:
            return guided
        rescaled: Tensor = rescale_noise_cfg(guided, prediction[1:], guidance_rescale=rescale)
        return rescaled

    def grid(self, denoising: Denoising) -> Tensor:
        return denoising.latents[0]

    @torch.no_grad()
    def decode(self, denoising: Denoising) -> Arriving:
        pipe = denoising.model.pipeline
        scaled = denoising.latents / pipe.vae.config.scaling_factor
        decoded = pipe.vae.decode(scaled, return_dict=False, generator=denoising.generator)[0]
        checked, flags = pipe.run_safety_checker(decoded, decoded.device, decoded.dtype)
        is_flagged = bool(flags and flags[0])
        # The checker's black image is already in 0..1.
        image = pipe.image_processor.postprocess(
            checked, output_type="pt", do_denormalize=[not is_flagged]
        )[0]
        return start_rendering(image, decoded=decoded, blacked_out=is_flagged)

    def _settings(self, model: LoadedModel, mode: Mode) -> dict[str, Any]:
        """What the pipeline of `mode` is built with beside the model's components."""
        return {"requires_safety_checker": model.pipeline.safety_checker is not None}

    def _conditioning(
        self, pipe: Any, request: ImageRequest, words: PromptEmbeddings
    ) -> dict[str, Tensor]:
        """The U-Net's arguments [rows, ...] for these words."""
        return {"encoder_hidden_states": stacked(words.negative, words.positive)}


serve(*StableDiffusion.pipelines.values())


def stacked(negative: Tensor | None, positive: Tensor) -> Tensor:
    """Rows [1 or 2, ...], the unconditional one first."""
    return positive if negative is None else torch.cat([negative, positive])


def _embedded_scale(pipe: Any, request: ImageRequest, like: Tensor) -> Tensor:
    """The guidance scale [1, width] for a U-Net that was distilled to be told it (as LCM's are)."""
    scale = torch.tensor(request.guidance_scale - 1).repeat(1)
    width = pipe.unet.config.time_cond_proj_dim
    embedded: Tensor = pipe.get_guidance_scale_embedding(scale, embedding_dim=width)
    return sent(embedded.to(like.dtype), like.device)
