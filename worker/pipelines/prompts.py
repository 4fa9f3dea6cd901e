"""From a request's words to what the denoiser is told."""

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
    """The embeddings of `request`'s prompt, and of its negative prompt where `guided`."""
    pipe = model.pipeline
    positive, negative = pipe.encode_prompt(
        request.prompt, model.device, 1, guided, request.negative_prompt
    )
    return PromptEmbeddings(positive, negative if guided else None)
