"""What a model with a vocabulary makes of a prompt: which things it draws of it, which words it
does not know, and what it could draw instead. Pure functions of a text and a lexicon."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from webapp.catalog.architectures import IMAGE, INPAINT, UPSCALE
from webapp.catalog.lexicon import Lexicon, PhraseBook
from webapp.catalog.loras import blank_tags
from webapp.catalog.words import Word, read_words

# So many unknown words get offers; a page shows no more.
MOST_OFFERED = 6
# Parts of a negative prompt, each of which asks for one thing less.
PARTS = re.compile(r"[,;.|\n]+")


@dataclass(frozen=True, slots=True)
class UnknownWord:
    """A word that the model has never seen, as it was first written. `places` are its (start, end)
    in the prompt, in characters; `near` what may be put in its place, at most three."""

    word: str
    places: tuple[tuple[int, int], ...]
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Understanding:
    """`things`: slugs of what would be drawn, each once. `known`: how many words are known.
    `language`: that of the most known phrases, "" if none is known."""

    things: tuple[str, ...]
    known: int
    unknown: tuple[UnknownWord, ...]
    language: str


def understand(prompt: str, lexicon: Lexicon, *, language: str = "en") -> Understanding:
    """What the model makes of the prompt; the words offered are in the unknown word's own writing,
    those of the page's `language` first. Never raises, whatever the prompt holds."""
    words = read_words(blank_tags(prompt))
    things: dict[str, None] = {}
    spoken: Counter[str] = Counter()
    strange: dict[str, list[Word]] = {}
    at = known = 0
    while at < len(words):
        match = lexicon.known.match(words, at)
        if match is None:
            strange.setdefault(words[at].text, []).append(words[at])
            at += 1
            continue
        if match.entry.thing:
            things[match.entry.thing] = None
        spoken[match.entry.language] += 1
        known, at = known + match.count, at + match.count
    unknown = tuple(
        _unknown(prompt, places, lexicon, language if number < MOST_OFFERED else None)
        for number, places in enumerate(strange.values())
    )
    most_spoken = max(spoken, key=spoken.__getitem__, default="")
    return Understanding(tuple(things), known, unknown, most_spoken)


def can_draw(understood: Understanding, *, mode: str) -> bool:
    """Whether a request of that mode comes to anything: from text alone if a thing is named; over
    a start image if any word is known ("a blue background" names no thing, but the image takes it
    up, and a mask painted over something is how it goes away); upscaled, always."""
    if mode in {IMAGE, INPAINT}:
        return understood.known > 0
    return bool(understood.things) or mode == UPSCALE


def parts_not_followed(negative_prompt: str, lexicon: Lexicon) -> tuple[str, ...]:
    """Those parts of a negative prompt that the model can't follow, as they are written but for
    brackets and weights; () if the vocabulary says nothing of negative prompts.

    A part is followed if a phrase of the vocabulary's `negative` stands in it, and beside it only
    words that draw nothing ("any red", "a white background").
    """
    book = lexicon.followed
    if book is None:
        return ()
    left: dict[str, None] = {}
    for part in PARTS.split(negative_prompt):
        words = read_words(part)
        if words and not _is_followed(words, book, lexicon.known):
            left[" ".join(part[word.start : word.end] for word in words)] = None
    return tuple(left)


def _is_followed(words: list[Word], book: PhraseBook, known: PhraseBook) -> bool:
    at, found = 0, False
    while at < len(words):
        match = book.match(words, at)
        found = found or match is not None
        if match is None:
            match = known.match(words, at)
            if match is None or match.entry.thing:
                return False
        at += match.count
    return found


def _unknown(
    prompt: str, places: list[Word], lexicon: Lexicon, language: str | None
) -> UnknownWord:
    """With offers, unless `language` is None."""
    first = places[0]
    offers = lexicon.near(first.text, language) if language else ()
    return UnknownWord(
        word=prompt[first.start : first.end],
        places=tuple((word.start, word.end) for word in places),
        near=tuple(join_ending(phrase, ending) for phrase, ending in offers),
    )


# After a syllable that ends in a consonant, and after one that ends in a vowel.
PAIRS = (("이", "가"), ("은", "는"), ("을", "를"), ("과", "와"), ("으로", "로"), ("이랑", "랑"))
FIRST_SYLLABLE, LAST_SYLLABLE = "가", "힣"
SYLLABLES_OF_A_VOWEL, CLOSED_BY_L = 28, 8


def join_ending(word: str, ending: str) -> str:
    """The word with the ending that hung on another one, in the form that suits it."""
    last = unicodedata.normalize("NFC", word)[-1]
    if not FIRST_SYLLABLE <= last <= LAST_SYLLABLE:
        return word + ending
    closing = (ord(last) - ord(FIRST_SYLLABLE)) % SYLLABLES_OF_A_VOWEL
    for closed, opened in PAIRS:
        if ending in {closed, opened}:
            # 길로, 서울로: an L takes the short form of this one alone.
            is_closed = closing != 0 and not (opened == "로" and closing == CLOSED_BY_L)
            return word + (closed if is_closed else opened)
    return word + ending
