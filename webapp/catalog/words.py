"""The words of a text: where each of them stands, and how they are compared."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

# Emphasis of the prompt's grammar; what follows it starts anew, and is no word.
BREAK = "BREAK"
APOSTROPHES = "'\u2019\u02bc"
POSSESSIVE = "'s"
# What may stand between two words of one phrase: "ice cream", "ice-cream", "ice_cream".
JOINERS = frozenset("-_\u2010\u2011")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text, from `start` up to `end` (in characters); `text` is its folded form. The
    "'s" of an owner is no part of it.
    `follows` says that nothing but a space or a hyphen parts it from the word before."""

    text: str
    start: int
    end: int
    follows: bool


def fold(text: str) -> str:
    """As phrases are compared: in Unicode's NFC, in lower case, with one space between words, and
    with the keyboard's apostrophe."""
    for apostrophe in APOSTROPHES[1:]:
        text = text.replace(apostrophe, APOSTROPHES[0])
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def read_words(text: str) -> list[Word]:
    """Its words in order. Punctuation, brackets, emoji, BREAK and plain numbers, the weights of an
    emphasis among them, are no words. Never raises."""
    words: list[Word] = []
    last_end = 0
    for start, end in _runs(text):
        written = text[start:end]
        if written == BREAK or not any(map(_is_letter, written)):
            continue
        follows = bool(words) and _is_joint(text[last_end:start])
        folded = fold(written)
        owner = len(POSSESSIVE) if folded.endswith(POSSESSIVE) else 0
        words.append(Word(folded.removesuffix(POSSESSIVE), start, end - owner, follows))
        last_end = end
    return words


def split_phrase(phrase: str) -> tuple[str, ...]:
    """A phrase as its words alone, so that "t-shirt" and "t shirt" are one."""
    return tuple(word.text for word in read_words(phrase))


def script_of(word: str) -> str:
    """Which writing a word is of, after its first letter: "LATIN", "HANGUL", "CJK"; "" if it has
    none, or one without a name."""
    composed = unicodedata.normalize("NFC", word)
    return next((_script(one) for one in composed if _is_letter(one)), "")


def _runs(text: str) -> Iterator[tuple[int, int]]:
    start = None
    for place, char in enumerate(text):
        if _is_part(char) or (start is not None and _is_inner_apostrophe(text, place)):
            start = place if start is None else start
        elif start is not None:
            yield start, place
            start = None
    if start is not None:
        yield start, len(text)


@lru_cache(maxsize=8192)
def _is_part(char: str) -> bool:
    """Letters, their marks, and digits."""
    return unicodedata.category(char)[0] in "LMN"


@lru_cache(maxsize=8192)
def _is_letter(char: str) -> bool:
    return unicodedata.category(char)[0] == "L"


def _is_inner_apostrophe(text: str, place: int) -> bool:
    return text[place] in APOSTROPHES and place + 1 < len(text) and _is_part(text[place + 1])


def _is_joint(gap: str) -> bool:
    return all(char.isspace() or char in JOINERS for char in gap)


@lru_cache(maxsize=8192)
def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]
