"""Stable Diffusion XL, base and Turbo: two text encoders, and a U-Net that is told sizes too."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from diffusers import (
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from torch import Tensor

from worker.engine.request import ImageRequest, Mode
from worker.pipelines.copies import sent
from worker.pipelines.denoising import Denoising
from worker.pipelines.loader import LoadedModel
from worker.pipelines.noise import serve
from worker.pipelines.pixels import Arriving, start_rendering
from worker.pipelines.prompts import PromptEmbeddings
from worker.pipelines.stable_diffusion import StableDiffusion, stacked

# What the pipelines themselves take if nobody says otherwise; refiners alone look at these.
_AESTHETIC_SCORE = 6.0
_NEGATIVE_AESTHETIC_SCORE = 2.5
_ADDED = ("text_embeds", "time_ids")


def _says_something(record: logging.LogRecord) -> bool:
    """Whenever a VAE changes its dtype diffusers warns of the modules that should not, none too."""
    return "should be kept in float32: []" not in record.getMessage()


logging.getLogger("diffusers.models.modeling_utils").addFilter(_says_something)


class StableDiffusionXL(StableDiffusion):
    """A `denoising.Adapter`: bit for bit what the pipelines below draw from a CPU generator.

    The sizes that the U-Net is told are the pipelines' defaults: the size asked for, uncropped.
    """

    pipelines: ClassVar[dict[Mode, Any]] = {
        "text": StableDiffusionXLPipeline,
        "image": StableDiffusionXLImg2ImgPipeline,
        "inpaint": StableDiffusionXLInpaintPipeline,
        "upscale": StableDiffusionXLImg2ImgPipeline,
    }

    def predict(
        self, model: LoadedModel, latents: Tensor, times: Tensor, conditioning: dict[str, Tensor]
    ) -> Tensor:
        arguments = {name: each for name, each in conditioning.items() if name not in _ADDED}
        prediction: Tensor = model.pipeline.unet(
            latents,
            times,
            added_cond_kwargs={name: conditioning[name] for name in _ADDED},
            return_dict=False,
            **arguments,
        )[0]
        return prediction

    @torch.no_grad()
    def decode(self, denoising: Denoising) -> Arriving:
        pipe = denoising.model.pipeline
        with _accurate(pipe.vae):
            latents = denoising.latents.to(pipe.vae.dtype)
            decoded = pipe.vae.decode(_unscaled(pipe.vae.config, latents), return_dict=False)[0]
        if pipe.watermark is not None:  # if the package for invisible watermarks is installed
            decoded = pipe.watermark.apply_watermark(decoded)
        image = pipe.image_processor.postprocess(decoded, output_type="pt")[0]
        return start_rendering(image, decoded=decoded)

    def _settings(self, model: LoadedModel, mode: Mode) -> dict[str, Any]:
        if mode == "text":
            return {}
        wanted = model.pipeline.config.get("requires_aesthetics_score", False)
        return {"requires_aesthetics_score": wanted}

    def _conditioning(
        self, pipe: Any, request: ImageRequest, words: PromptEmbeddings
    ) -> dict[str, Tensor]:
        if words.pooled is None:
            raise TypeError("the U-Net of Stable Diffusion XL takes pooled embeddings")
        sizes, negative_sizes = _sizes(pipe, request, words)
        told = stacked(None if words.negative is None else negative_sizes, sizes)
        return super()._conditioning(pipe, request, words) | {
            "text_embeds": stacked(words.negative_pooled, words.pooled),
            "time_ids": sent(told, words.positive.device),
        }


serve(*StableDiffusionXL.pipelines.values())


def _sizes(pipe: Any, request: ImageRequest, words: PromptEmbeddings) -> tuple[Tensor, Tensor]:
    """Original size, crop and target size [1, 6], of the conditional and unconditional row."""
    size, crop = (request.height_px, request.width_px), (0, 0)
    options = {
        "dtype": words.positive.dtype,
        "text_encoder_projection_dim": pipe.text_encoder_2.config.projection_dim,
    }
    if request.mode == "text":
        told = pipe._get_add_time_ids(size, crop, size, **options)
        return told, told
    scores = (_AESTHETIC_SCORE, _NEGATIVE_AESTHETIC_SCORE)
    both: tuple[Tensor, Tensor] = pipe._get_add_time_ids(
        size, crop, size, *scores, size, crop, size, **options
    )
    return both


@contextmanager
def _accurate(vae: Any) -> Iterator[None]:
    """This VAE overflows in float16: let it work in float32 if its files say so."""
    if vae.dtype != torch.float16 or not vae.config.force_upcast:
        yield
        return
    vae.to(torch.float32)
    try:
        yield
    finally:
        vae.to(torch.float16)


def _unscaled(config: Any, latents: Tensor) -> Tensor:
    """The denoiser's latents as the VAE knows them; some models come with a mean and a spread."""
    scale = float(config.scaling_factor)
    mean, spread = config.get("latents_mean"), config.get("latents_std")
    if mean is None or spread is None:
        return latents / scale
    mean, spread = (
        sent(torch.tensor(each).view(1, 4, 1, 1).to(latents.dtype), latents.device)
        for each in (mean, spread)
    )
    unscaled: Tensor = latents * spread / scale + mean
    return unscaled
