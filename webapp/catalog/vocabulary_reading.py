"""Reads the values of a `vocabulary.json`, each with the place where it stands, for the sentence
that refuses it."""

import re
from typing import Any

from django.utils.translation import gettext as _

from webapp.catalog.words import fold
from webapp.core.errors import InvalidInput

LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*")
STYLE_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
MOST_LANGUAGES, MOST_ENTRIES, MOST_PHRASE = 20, 20_000, 60
SIDE_GRID_PX, LEAST_SIDE_PX, MOST_SIDE_PX = 8, 64, 4096


def refuse(sentence: str) -> InvalidInput:
    """The error that says what is wrong with the file."""
    return InvalidInput(f"vocabulary.json: {sentence}", field="vocabulary")


def read_object(value: Any, *, at: str) -> dict[str, Any]:
    """A JSON object; raises InvalidInput for anything else, and for too many entries."""
    if not isinstance(value, dict):
        raise refuse(_("“%(at)s” must be an object.") % {"at": _short(at)})
    if len(value) > MOST_ENTRIES:
        raise _too_many(at, MOST_ENTRIES)
    return value


def read_list(value: Any, *, at: str, most: int = MOST_ENTRIES) -> list[Any]:
    """A JSON list of at most `most` entries; raises InvalidInput."""
    if not isinstance(value, list):
        raise refuse(_("“%(at)s” must be a list.") % {"at": _short(at)})
    if len(value) > most:
        raise _too_many(at, most)
    return value


def read_languages(value: Any, *, at: str) -> dict[str, Any]:
    """An object whose names are codes of languages, such as "en"; raises InvalidInput."""
    data = read_object(value, at=at)
    for code in data:
        if not LANGUAGE.fullmatch(code):
            sentence = _("“%(code)s” in “%(at)s” is not a language code such as “en”.")
            raise refuse(sentence % {"code": _short(code), "at": _short(at)})
    if len(data) > MOST_LANGUAGES:
        raise _too_many(at, MOST_LANGUAGES)
    return data


def read_phrases(value: Any, *, at: str, most: int = MOST_PHRASE) -> dict[str, tuple[str, ...]]:
    """Language -> its phrases; raises InvalidInput."""
    return {
        language: tuple(
            read_phrase(one, at=f"{at}.{language}", most=most)
            for one in read_list(phrases, at=f"{at}.{language}")
        )
        for language, phrases in read_languages(value, at=at).items()
    }


def read_phrase(value: Any, *, at: str, most: int = MOST_PHRASE) -> str:
    """A phrase as prompts are compared with; raises InvalidInput for one that is written in another
    way, and would never be found."""
    phrase = read_text(value, at=at, most=most)
    if phrase != fold(phrase):
        sentence = _(
            "“%(phrase)s” in “%(at)s” must be in lower case and in Unicode's NFC, with one space"
            " between words and plain apostrophes."
        )
        raise refuse(sentence % {"phrase": phrase, "at": _short(at)})
    return phrase


def read_text(value: Any, *, at: str, most: int) -> str:
    """A text of one line that is neither empty nor longer than `most`; raises InvalidInput."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise refuse(_("“%(at)s” must be a text of one line.") % {"at": _short(at)})
    if len(value) > most:
        sentence = _("A text in “%(at)s” has more than %(most)d characters.")
        raise refuse(sentence % {"at": _short(at), "most": most})
    return value


def read_slug(value: Any, *, at: str) -> str:
    """The slug of a style; raises InvalidInput."""
    if not isinstance(value, str) or not STYLE_SLUG.fullmatch(value):
        sentence = _("“%(at)s” must be up to 32 small letters, digits and hyphens.")
        raise refuse(sentence % {"at": _short(at)})
    return value


def read_side(value: Any, *, place: int) -> int:
    """One side of a size in pixels; raises InvalidInput."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value % SIDE_GRID_PX or not LEAST_SIDE_PX <= value <= MOST_SIDE_PX:
        sentence = _(
            "A side in “sizes[%(place)d]” must be a multiple of %(grid)d, from %(least)d to"
            " %(most)d pixels."
        )
        facts = {"place": place, "grid": SIDE_GRID_PX, "least": LEAST_SIDE_PX, "most": MOST_SIDE_PX}
        raise refuse(sentence % facts)
    return int(value)


def _too_many(at: str, most: int) -> InvalidInput:
    return refuse(_("“%(at)s” has more than %(most)d entries.") % {"at": _short(at), "most": most})


def _short(at: str) -> str:
    """What a stranger's file says of a place, fit for a sentence."""
    return "".join(char if char.isprintable() else "?" for char in at)[:60]
