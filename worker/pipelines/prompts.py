"""From a request's words to what the denoiser is told."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.engine.request import ImageRequest
from worker.pipelines.loader import LoadedModel


@dataclass(frozen=True, slots=True)
class PromptEmbeddings:
    """The encoded prompt: embeddings [1, tokens, width], and pooled ones [1, width] where the
    family has them; the negative ones are None without guidance."""

    positive: Tensor
    negative: Tensor | None = None
    pooled: Tensor | None = None
    negative_pooled: Tensor | None = None


@torch.no_grad()
def embed(model: LoadedModel, request: ImageRequest, *, guided: bool) -> PromptEmbeddings:
    """The embeddings of `request`'s prompt, and of its negative prompt where `guided`.

    For the families sd, sdxl, sd3 and flux. On the model's device, in its text encoder's dtype.
    An empty negative prompt of SDXL is all zeros where the model was trained so.
    """
    return _ENCODERS[model.source.family](model, request, guided)


def _encode_sd(model: LoadedModel, request: ImageRequest, guided: bool) -> PromptEmbeddings:
    positive, negative = model.pipeline.encode_prompt(
        request.prompt, model.device, 1, guided, request.negative_prompt
    )
    return PromptEmbeddings(positive, negative if guided else None)


def _encode_sdxl(model: LoadedModel, request: ImageRequest, guided: bool) -> PromptEmbeddings:
    return _of_four(
        *model.pipeline.encode_prompt(
            request.prompt,
            device=model.device,
            do_classifier_free_guidance=guided,
            negative_prompt=request.negative_prompt or None,
        )
    )


def _encode_sd3(model: LoadedModel, request: ImageRequest, guided: bool) -> PromptEmbeddings:
    return _of_four(
        *model.pipeline.encode_prompt(
            request.prompt,
            None,
            None,
            device=model.device,
            do_classifier_free_guidance=guided,
            negative_prompt=request.negative_prompt,
        )
    )


def _of_four(
    positive: Tensor, negative: Tensor | None, pooled: Tensor, negative_pooled: Tensor | None
) -> PromptEmbeddings:
    return PromptEmbeddings(positive, negative, pooled, negative_pooled)


def _encode_flux(model: LoadedModel, request: ImageRequest, guided: bool) -> PromptEmbeddings:
    positive, pooled, _ = model.pipeline.encode_prompt(request.prompt, device=model.device)
    if not guided:
        return PromptEmbeddings(positive, pooled=pooled)
    negative, negative_pooled, _ = model.pipeline.encode_prompt(
        request.negative_prompt, device=model.device
    )
    return PromptEmbeddings(positive, negative, pooled, negative_pooled)


_ENCODERS: dict[str, Callable[[LoadedModel, ImageRequest, bool], PromptEmbeddings]] = {
    "sd": _encode_sd,
    "sdxl": _encode_sdxl,
    "sd3": _encode_sd3,
    "flux": _encode_flux,
}
