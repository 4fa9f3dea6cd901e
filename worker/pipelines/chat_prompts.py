"""From a request's words to what the denoiser is told, by encoders that are language models.

The words are wrapped as a message to an assistant, as the model was trained; brackets and weights
mean nothing to such an encoder, and reach it as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from worker.engine.errors import InvalidRequest
from worker.pipelines.copies import sent
from worker.pipelines.loader import LoadedModel

Wrap = Callable[[Any, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a family reads its prompt. `wrap`: the text that the encoder gets, from the pipeline and
    the words. `window`: tokens that it takes at most, of which `unread` at the beginning are the
    same for all words and left out of what it says. `layers`: whose hidden states count, side by
    side. `is_filled`: every text is filled up to the window before it is read, and what fills it
    counts (`keeps_filling`) or is left out."""

    wrap: Wrap
    window: int
    layers: tuple[int, ...]
    unread: int = 0
    is_filled: bool = True
    keeps_filling: bool = False


def as_message(pipe: Any, words: str, *, thinking: bool) -> str:
    """`words` as the one message of a chat, by the tokenizer's own template."""
    text: str = pipe.tokenizer.apply_chat_template(
        [{"role": "user", "content": words}],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=thinking,
    )
    return text


@torch.no_grad()
def read(model: LoadedModel, words: str, reading: Reading, *, name: str) -> Tensor:
    """What the encoder says of `words`: [1, tokens, width], on the model's device and in its text
    encoder's dtype. `name` is what people call these words.

    From the model's cache if it has met them; never write into it. Raises `InvalidRequest` if they
    are too long.
    """
    key = (model.loras.worn, words)
    said: Tensor = model.prompts.get(key, lambda: _read(model, words, reading, name))
    return said


def _read(model: LoadedModel, words: str, reading: Reading, name: str) -> Tensor:
    pipe = model.pipeline
    _check_length(pipe, words, reading, name)
    padding = {"padding": "max_length", "max_length": reading.window} if reading.is_filled else {}
    tokens = pipe.tokenizer(reading.wrap(pipe, words), return_tensors="pt", **padding)
    # A mask that leaves nothing out gives the same bits as none, and the encoder waits for the
    # device to find that out.
    mask = sent(tokens.attention_mask, model.device) if reading.is_filled else None
    answer = pipe.text_encoder(
        input_ids=sent(tokens.input_ids, model.device),
        attention_mask=mask,
        output_hidden_states=True,
        use_cache=False,
    )
    said = torch.cat([answer.hidden_states[layer] for layer in reading.layers], dim=-1)
    if not reading.keeps_filling:
        first = int(tokens.attention_mask[0].argmax())
        said = said[:, first : first + int(tokens.attention_mask.sum())]
    return said[:, reading.unread :].to(pipe.text_encoder.dtype)


def _check_length(pipe: Any, words: str, reading: Reading, name: str) -> None:
    around, count = (
        len(pipe.tokenizer(reading.wrap(pipe, text)).input_ids) for text in ("", words)
    )
    if count > reading.window:
        raise InvalidRequest(
            f"The {name} is too long: it has {count - around} tokens, and this model takes at most "
            f"{reading.window - around}."
        )
