"""Rows of requests whose prompt and negative prompt need not be of one length.

A guided request has two rows, the negative one first. The shorter prompt is filled up to share a
tensor with the longer one, and what fills it is cut off again before the denoiser is called. How
long each is stands in the shape of a tensor without numbers: so it is a part of the batch key, is
known without asking the device, and is the same whenever a graph is replayed.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad


class Side(NamedTuple):
    """One prompt of each of R requests: latents [R, ...], times [R], words [R, tokens, width]."""

    latents: Tensor
    times: Tensor
    words: Tensor


def conditioning_of(positive: Tensor, negative: Tensor | None) -> dict[str, Tensor]:
    """What `sides` reads, of one request: `words` [rows, tokens of the longer, width] and `lengths`
    [rows, tokens of each, 0]. Both prompts are given as [1, tokens, width]; `negative` is None
    without guidance."""
    told = [positive] if negative is None else [negative, positive]
    lengths = [prompt.shape[1] for prompt in told]
    filled = [pad(prompt, (0, 0, 0, max(lengths) - prompt.shape[1])) for prompt in told]
    words = torch.cat(filled)
    return {"words": words, "lengths": words.new_empty(len(told), *lengths, 0)}


def sides(latents: Tensor, times: Tensor, conditioning: dict[str, Tensor]) -> list[Side]:
    """The rows of all prompts and, if the requests are guided, those of all negative prompts."""
    lengths = conditioning["lengths"].shape[1:-1]
    count, words = len(lengths), conditioning["words"]
    return [
        Side(latents[row::count], times[row::count], words[row::count, : lengths[row]])
        for row in reversed(range(count))
    ]


def rows_of(answers: list[Tensor]) -> Tensor:
    """The rows in the order that they came in, of one answer [R, ...] for each of `sides`."""
    return answers[0] if len(answers) == 1 else torch.stack(answers[::-1], dim=1).flatten(0, 1)
