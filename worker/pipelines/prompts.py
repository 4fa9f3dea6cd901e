"""From a request's words to what the denoiser is told.

Prompts are read with the emphasis of `prompt_grammar`, and may be longer than a CLIP encoder's
window: CLIP reads them in chunks, each encoded alone, joined along the tokens (as
AUTOMATIC1111's web UI does). T5 has one long window. A short prompt without emphasis gives, bit
for bit, what `encode_prompt` of the model's own diffusers pipeline gives.

Families without an adapter hand the prompt to their pipeline as it is, without emphasis.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from worker.engine.errors import InvalidRequest
from worker.engine.request import ImageRequest
from worker.pipelines.architectures import ARCHITECTURES, Reading
from worker.pipelines.copies import sent
from worker.pipelines.loader import LoadedModel
from worker.pipelines.prompt_grammar import Section, Span, parse
from worker.pipelines.prompt_tokens import Token, split, tokenize

# Cross-attention grows with them, and so does the memory of every row in the batch.
MOST_CHUNKS: Final = 10
HEAVIEST: Final = 4.0


@dataclass(frozen=True, slots=True)
class PromptEmbeddings:
    """The encoded prompt: embeddings [1, tokens, width], and pooled ones [1, width] if the
    family has them; the negative ones are None without guidance.

    Others may hold the same tensors: never write into them.
    """

    positive: Tensor
    negative: Tensor | None = None
    pooled: Tensor | None = None
    negative_pooled: Tensor | None = None


@dataclass(frozen=True, slots=True)
class _Encoded:
    """One text: CLIP's chunks [1, window, width] each, T5's [1, tokens, width], and the pooled
    embedding [1, width] of the first chunk."""

    chunks: tuple[Tensor, ...]
    long: Tensor | None
    pooled: Tensor | None

    @property
    def nbytes(self) -> int:
        tensors = [*self.chunks, self.long, self.pooled]
        return sum(tensor.nbytes for tensor in tensors if tensor is not None)


@torch.no_grad()
def embed(model: LoadedModel, request: ImageRequest, *, guided: bool) -> PromptEmbeddings:
    """The embeddings of `request`'s prompt, and of its negative prompt if `guided`.

    For every family with an adapter; on the model's device, in its text encoder's dtype.
    Both prompts get the same number of tokens. An empty negative prompt of SDXL is all zeros if
    the model was trained so. The model must wear the LoRAs of the request. Raises `InvalidRequest`
    for a prompt that is too long or a weight that is too large.
    """
    skipped = request.clip_skip - 1
    positive = _encoded(model, request.prompt, "prompt", skipped)
    if not guided:
        return PromptEmbeddings(
            _joined(model, positive, len(positive.chunks), skipped), pooled=positive.pooled
        )
    negative = _encoded(model, request.negative_prompt, "negative prompt", skipped)
    count = max(len(positive.chunks), len(negative.chunks))
    told = _joined(model, positive, count, skipped)
    if not request.negative_prompt and model.pipeline.config.get("force_zeros_for_empty_prompt"):
        return PromptEmbeddings(
            told, torch.zeros_like(told), positive.pooled, _zeros_like(positive.pooled)
        )
    untold = _joined(model, negative, count, skipped)
    return PromptEmbeddings(told, untold, positive.pooled, negative.pooled)


def _zeros_like(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else torch.zeros_like(tensor)


def _joined(model: LoadedModel, words: _Encoded, count: int, skipped: int) -> Tensor:
    """All of `words` along the tokens; CLIP's part filled up to `count` chunks with that of the
    empty prompt, and to the width of T5's if there is one."""
    missing = count - len(words.chunks)
    if missing:
        empty = _encoded(model, "", "prompt", skipped).chunks
        words = _Encoded((*words.chunks, *empty * missing), words.long, words.pooled)
    parts = list(words.chunks)
    if words.long is not None:
        width = words.long.shape[-1]
        parts = [pad(chunk, (0, width - chunk.shape[-1])) for chunk in parts] + [words.long]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _encoded(model: LoadedModel, text: str, name: str, skipped: int) -> _Encoded:
    """From the model's cache if it has met `text` under the same LoRAs; `name` is for people."""
    key = (model.loras.worn, skipped, text)
    return model.prompts.get(key, lambda: _encode(model, text, name, skipped))


def _encode(model: LoadedModel, text: str, name: str, skipped: int) -> _Encoded:
    reading = ARCHITECTURES[model.source.family].reading
    sections = parse(text)
    _check_weights(sections, name)
    chunks, pooled = _encode_clip(model, reading, sections, name, skipped)
    long = None
    if reading.t5:
        long = _encode_t5(model, reading.t5, sections, name, window=reading.t5_tokens)
    return _Encoded(chunks, long, pooled)


def _check_weights(sections: tuple[Section, ...], name: str) -> None:
    for span in (span for section in sections for span in section):
        if not 0 <= span.weight <= HEAVIEST:
            raise InvalidRequest(
                f"A weight in the {name} is {span.weight:g}; weights lie between 0 and "
                f"{HEAVIEST:g}. Write \\( for a bracket that is only a bracket."
            )


# CLIP


def _encode_clip(
    model: LoadedModel, reading: Reading, sections: tuple[Section, ...], name: str, skipped: int
) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """Every chunk [1, window, widths of all encoders], and the pooled embedding of the first."""
    pipe = model.pipeline
    readers = [
        (getattr(pipe, tokenizer), getattr(pipe, encoder))
        for tokenizer, encoder in reading.clip
        if getattr(pipe, encoder) is not None
    ]
    chunked = [_chunks(pipe, tokenizer, sections, name) for tokenizer, _ in readers]
    if reading.pooled_only:
        chunked = [chunks[:1] for chunks in chunked]
    hidden, pooled = [], []
    for row in zip_longest(*chunked, fillvalue=()):
        answers = [
            _read_chunk(model, reading, *reader, chunk, skipped)
            for reader, chunk in zip(readers, row, strict=True)
        ]
        hidden.append(torch.cat([answer for answer, _ in answers], dim=-1))
        pooled.append([part for _, part in answers if part is not None])
    first = pooled[0] if reading.all_pooled else pooled[0][:1]
    chunks = () if reading.pooled_only else tuple(hidden)
    return chunks, torch.cat(first, dim=-1) if first else None


def _chunks(
    pipe: Any, tokenizer: Any, sections: tuple[Section, ...], name: str
) -> list[Sequence[Token]]:
    size = tokenizer.model_max_length - 2  # begin and end
    tokens = [tokenize(tokenizer, _converted(pipe, tokenizer, section)) for section in sections]
    chunks = [chunk for part in tokens for chunk in split(part, size)]
    if len(chunks) > MOST_CHUNKS:
        raise InvalidRequest(
            f"The {name} is too long: it fills {len(chunks)} parts of {size} tokens, and "
            f"{MOST_CHUNKS} are the most."
        )
    return chunks


def _converted(pipe: Any, tokenizer: Any, section: Section) -> Section:
    """Words of textual inversion that stand for several tokens, written out as those."""
    if not hasattr(pipe, "maybe_convert_prompt"):
        return section
    return tuple(
        Span(pipe.maybe_convert_prompt(span.text, tokenizer), span.weight) for span in section
    )


def _read_chunk(
    model: LoadedModel,
    reading: Reading,
    tokenizer: Any,
    encoder: Any,
    tokens: Sequence[Token],
    skipped: int,
) -> tuple[Tensor, Tensor | None]:
    """The chunk's embeddings [1, window, width], and the pooled one if this encoder's counts."""
    numbers, weights = _window(tokenizer, tokens, tokenizer.model_max_length)
    # Older encoders were trained without a mask; their configuration does not name it.
    is_masked = getattr(encoder.config, "use_attention_mask", False)
    mask = torch.arange(len(numbers)) < len(tokens) + 2
    answer = encoder(
        sent(torch.tensor([numbers]), model.device),
        attention_mask=sent(mask[None].long(), model.device) if is_masked else None,
        output_hidden_states=reading.penultimate or skipped > 0,
    )
    hidden = _layer(encoder, answer, reading, skipped)
    if reading.pooled_only:
        return hidden, answer.pooler_output
    # Only encoders with a projection put the pooled embedding first.
    return _emphasised(hidden, weights), answer[0] if answer[0].ndim == 2 else None


def _layer(encoder: Any, answer: Any, reading: Reading, skipped: int) -> Tensor:
    """What the denoiser is told. A family that is told the last layer is told it normalised, and
    so are the ones before it, as AUTOMATIC1111's web UI and diffusers do. Raises `InvalidRequest`
    if the encoder has not so many."""
    if not reading.penultimate and not skipped:
        last: Tensor = answer[0]
        return last
    place = skipped + (2 if reading.penultimate else 1)
    if place >= len(answer.hidden_states):
        most = len(answer.hidden_states) - place + skipped
        raise InvalidRequest(f"CLIP skip must be at most {most} for this model.")
    hidden: Tensor = answer.hidden_states[-place]
    if reading.penultimate:
        return hidden
    # transformers 5 has no `text_model` in it any more, which diffusers looks for.
    return getattr(encoder, "text_model", encoder).final_layer_norm(hidden)  # type: ignore[no-any-return]


# T5


def _encode_t5(
    model: LoadedModel,
    component: tuple[str, str],
    sections: tuple[Section, ...],
    name: str,
    *,
    window: int,
) -> Tensor:
    """[1, window, width]; zeros if the model came without its T5, as SD3 may."""
    pipe = model.pipeline
    tokenizer, encoder = (getattr(pipe, part) for part in component)
    if encoder is None:
        width = pipe.transformer.config.joint_attention_dim
        return torch.zeros(1, window, width, device=model.device, dtype=pipe.text_encoder.dtype)
    tokens = tokenize(tokenizer, _converted(pipe, tokenizer, _without_breaks(sections)))
    if len(tokens) + 1 > window:
        raise InvalidRequest(
            f"The {name} is too long: it has {len(tokens)} tokens, and this model takes at most "
            f"{window - 1}."
        )
    numbers, weights = _window(tokenizer, tokens, window)
    hidden: Tensor = encoder(sent(torch.tensor([numbers]), model.device))[0]
    return _emphasised(hidden, weights)


def _without_breaks(sections: tuple[Section, ...]) -> Section:
    """One section: T5 has one window, where a break is no more than a space."""
    first, *others = sections
    return sum(((Span(" "), *section) for section in others), first)


# Both


def _window(tokenizer: Any, tokens: Sequence[Token], size: int) -> tuple[list[int], list[float]]:
    """Numbers and weights of `size` tokens: begin (if there is such a mark), `tokens`, end,
    and the tokenizer's own filling."""
    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    numbers = [*begin, *(token.number for token in tokens), tokenizer.eos_token_id]
    weights = [1.0] * len(begin) + [token.weight for token in tokens] + [1.0]
    missing = size - len(numbers)
    return numbers + [tokenizer.pad_token_id] * missing, weights + [1.0] * missing


def _emphasised(hidden: Tensor, weights: list[float]) -> Tensor:
    """Embeddings [1, tokens, width] times `weights`, then all scaled back to the mean they had.

    "Original" emphasis of AUTOMATIC1111's web UI, but for which mean: that of the magnitudes.
    The plain mean is so close to zero in SDXL's encoders, T5 and small ones that dividing by it
    blows everything up or turns it over.
    """
    if all(weight == 1.0 for weight in weights):
        return hidden
    exact = hidden.float()
    weighted = exact * sent(torch.tensor(weights), hidden.device)[:, None]
    restored = weighted * (exact.abs().mean() / weighted.abs().mean())
    return restored.to(hidden.dtype)
