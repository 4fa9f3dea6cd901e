"""What a small model knows, as its folder says it: `vocabulary.json` (`docs/vocabulary.md`).

A model without that file is asked for anything, and nothing is guessed. The reader is strict: a
file that is wrong in one place is refused whole, with a sentence that names the place.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from webapp.catalog.vocabulary_reading import (
    read_languages,
    read_list,
    read_object,
    read_phrase,
    read_phrases,
    read_side,
    read_slug,
    read_text,
    refuse,
)
from webapp.catalog.words import split_phrase
from webapp.core.errors import InvalidInput

FILE_NAME = "vocabulary.json"
MOST_BYTES = 1_000_000
VERSION = 1
FIELDS = frozenset({"version", "things", "words", "endings", "near", "styles", "sizes", "negative"})
MOST_STYLES, MOST_SIZES, MOST_OFFERS = 64, 64, 8
MOST_NAME, MOST_STYLE_WORDS, MOST_ENDING = 40, 200, 12

Phrases = Mapping[str, tuple[str, ...]]  # language -> phrases


@dataclass(frozen=True, slots=True)
class OwnStyle:
    """A drawing style that the model learned: its name and its words by language."""

    slug: str
    names: Mapping[str, str]
    words: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Everything that the file says; languages are codes such as "en".

    `things`: language -> phrase -> slug of the thing that it draws. `near`: language -> a word that
    it doesn't know -> phrases that it does. `styles`, `negative` and `sizes` are None if the file
    says nothing of them: then the studio's styles are offered, nothing is said of the negative
    prompt, and the model's limits alone decide the size.
    """

    things: Mapping[str, Mapping[str, str]]
    words: Phrases
    endings: Phrases
    near: Mapping[str, Phrases]
    styles: tuple[OwnStyle, ...] | None
    sizes: tuple[tuple[int, int], ...] | None
    negative: Phrases | None

    @property
    def thing_count(self) -> int:
        """How many different things it draws, however many names they have."""
        return len({slug for names in self.things.values() for slug in names.values()})


def in_language(texts: Mapping[str, str], language: str) -> str:
    """The text in that language; in its main one ("pt" for "pt-br"), in English or in the file's
    first if there is none."""
    for one in (language, language.partition("-")[0], "en"):
        if one in texts:
            return texts[one]
    return next(iter(texts.values()))


def parse_vocabulary(raw: bytes) -> Vocabulary:
    """What the file's bytes say. Raises InvalidInput, with one sentence for what is wrong."""
    if len(raw) > MOST_BYTES:
        kilobytes = MOST_BYTES // 1000
        raise refuse(_("It is larger than %(most)d kB.") % {"most": kilobytes})
    data = read_object(_decoded(raw), at="vocabulary.json")
    if unknown := sorted(data.keys() - FIELDS):
        sentence = _("“%(field)s” is not a field. The fields are: %(fields)s.")
        raise refuse(sentence % {"field": unknown[0][:40], "fields": ", ".join(sorted(FIELDS))})
    if data.get("version") != VERSION or isinstance(data["version"], bool):
        raise refuse(_("“version” must be %(version)d.") % {"version": VERSION})
    vocabulary = Vocabulary(
        things=_read_things(data.get("things")),
        words=read_phrases(data.get("words", {}), at="words"),
        endings=read_phrases(data.get("endings", {}), at="endings", most=MOST_ENDING),
        near=_read_near(data.get("near", {})),
        styles=_read_styles(data["styles"]) if "styles" in data else None,
        sizes=_read_sizes(data["sizes"]) if "sizes" in data else None,
        negative=_read_negative(data["negative"]) if "negative" in data else None,
    )
    _check_offers(vocabulary)
    return vocabulary


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise refuse(_("It is not JSON in UTF-8.")) from error


def _read_things(value: Any) -> dict[str, dict[str, str]]:
    things = {
        language: {
            _read_name(phrase, at=f"things.{language}"): read_text(
                slug, at=f"things.{language}.{phrase}", most=64
            )
            for phrase, slug in read_object(names, at=f"things.{language}").items()
        }
        for language, names in read_languages(value, at="things").items()
    }
    if not any(things.values()):
        raise refuse(_("“things” is empty. Name at least one thing that the model can draw."))
    return {language: names for language, names in things.items() if names}


def _read_name(value: Any, *, at: str) -> str:
    phrase = read_phrase(value, at=at)
    if not split_phrase(phrase):
        raise refuse(_("“%(phrase)s” in “%(at)s” has no letter.") % {"phrase": phrase, "at": at})
    return phrase


def _read_near(value: Any) -> dict[str, dict[str, tuple[str, ...]]]:
    return {
        language: {
            read_phrase(word, at=f"near.{language}"): tuple(
                read_phrase(one, at=f"near.{language}.{word}")
                for one in read_list(offers, at=f"near.{language}.{word}", most=MOST_OFFERS)
            )
            for word, offers in read_object(table, at=f"near.{language}").items()
        }
        for language, table in read_languages(value, at="near").items()
    }


def _check_offers(vocabulary: Vocabulary) -> None:
    """What is offered for another word is itself known: an offer must not be refused."""
    for language, table in vocabulary.near.items():
        known = {split_phrase(phrase) for phrase in vocabulary.things.get(language, ())}
        known |= {split_phrase(phrase) for phrase in vocabulary.words.get(language, ())}
        for word, offers in table.items():
            for offer in offers:
                if split_phrase(offer) not in known:
                    raise _unknown_offer(language=language, word=word, offer=offer)


def _unknown_offer(**facts: str) -> InvalidInput:
    sentence = _(
        "“near.%(language)s” offers “%(offer)s” for “%(word)s”, which is in neither “things” "
        "nor “words” of that language."
    )
    return refuse(sentence % facts)


def _read_styles(value: Any) -> tuple[OwnStyle, ...]:
    styles = tuple(
        _read_style(one, at=f"styles[{place}]")
        for place, one in enumerate(read_list(value, at="styles", most=MOST_STYLES))
    )
    slugs = [style.slug for style in styles]
    for slug in slugs:
        if slugs.count(slug) > 1:
            raise refuse(_("“styles” names “%(slug)s” twice.") % {"slug": slug})
    return styles


def _read_style(value: Any, *, at: str) -> OwnStyle:
    data = read_object(value, at=at)
    return OwnStyle(
        slug=read_slug(data.get("slug"), at=f"{at}.slug"),
        names=_read_texts(data.get("name"), at=f"{at}.name", most=MOST_NAME),
        words=_read_texts(data.get("words"), at=f"{at}.words", most=MOST_STYLE_WORDS),
    )


def _read_texts(value: Any, *, at: str, most: int) -> dict[str, str]:
    texts = {
        language: read_text(text, at=f"{at}.{language}", most=most)
        for language, text in read_languages(value, at=at).items()
    }
    if not texts:
        raise refuse(_("“%(at)s” has no language. Add at least one.") % {"at": at})
    return texts


def _read_sizes(value: Any) -> tuple[tuple[int, int], ...]:
    sizes = []
    for place, pair in enumerate(read_list(value, at="sizes", most=MOST_SIZES)):
        sides = read_list(pair, at=f"sizes[{place}]", most=2)
        if len(sides) != 2:
            sentence = _("“sizes[%(place)d]” must be a pair: [width, height].")
            raise refuse(sentence % {"place": place})
        sizes.append((read_side(sides[0], place=place), read_side(sides[1], place=place)))
    if not sizes:
        raise refuse(_("“sizes” is empty: leave it out if the model's limits alone decide."))
    return tuple(dict.fromkeys(sizes))


def _read_negative(value: Any) -> dict[str, tuple[str, ...]]:
    """`[]` says as well that it follows none."""
    return {} if value == [] else read_phrases(value, at="negative")
