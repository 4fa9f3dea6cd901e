r"""Emphasis in prompts, as people know it from AUTOMATIC1111's web UI. Standard library only.

    (word)      1.1 times          [word]      divided by 1.1
    (word:1.3)  1.3 times          \( \) \[ \] \\   the sign itself
    BREAK       what follows starts a chunk of its own

Nested brackets multiply. A bracket without its partner is plain text, and so is a number that is
none: `(a:b)` is 1.1 times "a:b". Every prompt is read this way, so brackets that were only meant
as brackets need a backslash.
"""

import re
from dataclasses import dataclass
from typing import Final

ROUND: Final = 1.1
SQUARE: Final = 1 / 1.1

_LEXEME = re.compile(r"\\[()\[\]\\]|[()\[\]]|[^()\[\]\\]+|\\")
_NUMBER = re.compile(r":\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))\s*$")
_BREAK = re.compile(r"\s*\bBREAK\b\s*")
_OPENER_OF: Final = {")": "(", "]": "["}


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text and how strongly it counts. The weight may be any number at all."""

    text: str
    weight: float = 1.0


Section = tuple[Span, ...]


def parse(prompt: str) -> tuple[Section, ...]:
    """Return the sections between BREAKs, at least one; neighbours in one differ in weight.

    Never raises. Text without brackets, backslashes and BREAK comes back as a single span; of
    several sections, those without text are left out.
    """
    sections: list[list[Span]] = [[]]
    for span in _merged(_spans(_LEXEME.findall(prompt))):
        first, *others = _BREAK.split(span.text)
        sections[-1].append(Span(first, span.weight))
        sections.extend([Span(text, span.weight)] for text in others)
    if len(sections) > 1:
        sections = [spans for spans in sections if any(span.text.strip() for span in spans)]
    kept = [tuple(span for span in spans if span.text) for spans in sections]
    return tuple(kept) or ((),)


def _spans(lexemes: list[str]) -> list[Span]:
    partners = _partners(lexemes)
    numbers = _numbers(lexemes, partners)
    weights = [1.0]
    spans = []
    for index, lexeme in enumerate(lexemes):
        if index not in partners:
            text = _NUMBER.sub("", lexeme) if index + 1 in numbers else lexeme
            spans.append(Span(_plain(text), weights[-1]))
        elif partners[index] > index:
            factor = numbers.get(partners[index], ROUND if lexeme == "(" else SQUARE)
            weights.append(weights[-1] * factor)
        else:
            weights.pop()
    return spans


def _partners(lexemes: list[str]) -> dict[int, int]:
    """Index of a bracket -> index of the one it pairs with, both ways."""
    partners = {}
    opened: list[int] = []
    for index, lexeme in enumerate(lexemes):
        if lexeme in _OPENER_OF.values():
            opened.append(index)
        elif any(lexemes[opener] == _OPENER_OF.get(lexeme) for opener in opened):
            # What was opened since then has lost its chance of a partner.
            while lexemes[opener := opened.pop()] != _OPENER_OF[lexeme]:
                pass
            partners[opener], partners[index] = index, opener
    return partners


def _numbers(lexemes: list[str], partners: dict[int, int]) -> dict[int, float]:
    """Index of a closing round bracket -> the number written before it."""
    numbers = {}
    for index, partner in partners.items():
        if lexemes[index] == ")" and index - 1 > partner:
            found = _NUMBER.search(lexemes[index - 1])
            if found:
                numbers[index] = float(found[1])
    return numbers


def _plain(lexeme: str) -> str:
    return lexeme[1] if len(lexeme) == 2 and lexeme[0] == "\\" else lexeme


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in spans:
        if merged and merged[-1].weight == span.weight:
            merged[-1] = Span(merged[-1].text + span.text, span.weight)
        else:
            merged.append(span)
    return merged
