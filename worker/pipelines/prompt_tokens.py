"""From words to the tokens of a text encoder, in chunks that it can take."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from worker.pipelines.prompt_grammar import Section

# AUTOMATIC1111's web UI looks back 20 of 75 tokens for a comma to end a chunk at.
_LOOK_BACK: Final = 20 / 75


@dataclass(frozen=True, slots=True)
class Token:
    """A token, the weight of the text it stands for, and where a chunk may end."""

    number: int
    weight: float
    starts_word: bool
    is_comma: bool


def tokenize(tokenizer: Any, section: Section) -> list[Token]:
    """The tokens of `section` without begin and end marks.

    The same as of the text without its weights; a token across two weights has the latter.
    """
    text = "".join(span.text for span in section)
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    words = [None, *encoding.word_ids()]
    ends = list(accumulate(len(span.text) for span in section))
    tokens = []
    for index, (number, (_, end)) in enumerate(
        zip(encoding.input_ids, encoding.offset_mapping, strict=True)
    ):
        last = max(end - 1, 0)
        weight = section[min(bisect_right(ends, last), len(section) - 1)].weight
        starts_word = words[index + 1] is None or words[index + 1] != words[index]
        tokens.append(Token(number, weight, starts_word, text[last : last + 1] == ","))
    return tokens


def split(tokens: Sequence[Token], size: int) -> list[Sequence[Token]]:
    """Chunks of at most `size` tokens, at least one; empty if there are no tokens.

    A chunk ends behind a comma if one is near its end, else before a word, else anywhere.
    """
    chunks = []
    while len(tokens) > size:
        cut = _cut(tokens, size)
        chunks.append(tokens[:cut])
        tokens = tokens[cut:]
    return [*chunks, tokens]


def _cut(tokens: Sequence[Token], size: int) -> int:
    for cut in range(size, size - int(size * _LOOK_BACK) - 1, -1):
        if tokens[cut - 1].is_comma:
            return cut
    return next((cut for cut in range(size, 0, -1) if tokens[cut].starts_word), size)
