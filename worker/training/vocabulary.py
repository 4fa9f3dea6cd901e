"""Writes what the model knows into its folder: `vocabulary.json`, as docs/vocabulary.md has it.

The studio reads it to say, before anybody pays, which words of a prompt the model does not know.
Everything in it is taken from the recipe: names from `things.txt`, the other words from the
captions themselves, near words from CLDR's keywords for the same icons.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from worker.training.captions import describe, plural
from worker.training.concepts import COLOURS, STYLES
from worker.training.icons import MissingSource
from worker.training.korean import PARTICLES
from worker.training.scenes import Stage
from worker.training.things import Locale, Thing, all_things

NAME: Final = "vocabulary.json"
VERSION: Final = 1
LOCALES: Final[tuple[Locale, ...]] = ("en", "ko")
CAPTIONS: Final = 20_000
SEED: Final = 3
ENDINGS: Final = ("와", "과", "하고", "의", *(p for two in PARTICLES.values() for p in two))
# Keywords of CLDR that are no word for the thing ("old" of the key), or that a studio for everybody
# does not answer with an animal or a rainbow.
UNANSWERED: Final = frozenset(
    {
        *("old", "new", "over", "up", "down", "back", "air", "big", "photo", "man", "woman"),
        *("person", "people", "face", "ass", "gay", "lgbt", "lgbtq", "pride", "게이", "퀴어"),
    }
)
NEAR_AT_MOST: Final = 3
STYLE_NAMES: Final = {
    "3d": ("3D", "입체"),
    "flat": ("Flat", "플랫"),
    "cartoon": ("Cartoon", "만화"),
    "comic": ("Comic", "코믹"),
    "sticker": ("Sticker", "스티커"),
    "pixel art": ("Pixel art", "픽셀 아트"),
}


def vocabulary_of(stage: Stage, packages: Path, *, size_px: int) -> dict[str, Any]:
    """All that the file says. Raises `MissingSource` where CLDR's package is not in `packages`."""
    phrases = {locale: thing_phrases(locale) for locale in LOCALES}
    words = caption_words(stage, phrases)
    return {
        "version": VERSION,
        "things": phrases,
        "words": words,
        "endings": {"ko": sorted(ENDINGS)},
        "near": {
            locale: near_words(locale, packages, {*phrases[locale], *words[locale]})
            for locale in LOCALES
        },
        "styles": [
            {
                "slug": style.slug.replace(" ", "-"),
                "name": dict(zip(LOCALES, STYLE_NAMES[style.slug], strict=True)),
                "words": {locale: style.words[locale][0] for locale in LOCALES},
            }
            for style in STYLES
        ],
        "sizes": [[size_px, size_px]],
        "negative": {
            "en": [f"{word} background" for colour in COLOURS for word in colour.words["en"]],
            "ko": [f"{word} 배경" for colour in COLOURS for word in colour.words["ko"]],
        },
    }


def write_vocabulary(folder: Path, stage: Stage, packages: Path, *, size_px: int) -> None:
    """Writes the file into the model's `folder`."""
    said = vocabulary_of(stage, packages, size_px=size_px)
    text = json.dumps(said, ensure_ascii=False, indent=1, sort_keys=False)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")


def thing_phrases(locale: Locale) -> dict[str, str]:
    """Every phrase that names a thing, as captions write it, with the thing's slug."""
    phrases: dict[str, str] = {}
    for thing in all_things():
        for name in thing.names[locale]:
            forms = (name, plural(name)) if locale == "en" else (name, name.replace(" ", ""))
            for form in forms:
                phrases.setdefault(form.lower(), thing.slug.replace(" ", "-"))
    return phrases


def caption_words(stage: Stage, phrases: dict[Locale, dict[str, str]]) -> dict[Locale, list[str]]:
    """Every word of the recipe's captions that is part of no thing's name in them."""
    rng = np.random.default_rng(SEED)
    longest_first = sorted({p for known in phrases.values() for p in known}, key=len, reverse=True)
    found: dict[Locale, set[str]] = {"en": set(), "ko": set()}
    for _ in range(CAPTIONS):
        text = describe(stage.draw(rng, style=None), rng).lower()
        locale: Locale = "en" if text.isascii() else "ko"
        words = without(text, longest_first, locale).replace(",", " ").split()
        found[locale].update(words)
    for style in STYLES:
        for locale in LOCALES:
            found[locale].update(" ".join(style.words[locale]).lower().split())
    return {locale: sorted(words) for locale, words in found.items()}


def without(text: str, phrases: list[str], locale: Locale) -> str:
    """`text` with the names of things taken out, with the particles of Korean ones."""
    parts = text.replace(",", " , ").split()
    for phrase in phrases:
        if phrase not in text:
            continue
        wanted = phrase.split()
        for at in range(len(parts) - len(wanted) + 1):
            window = parts[at : at + len(wanted)]
            if window == wanted or (locale == "ko" and _without_ending(window) == wanted):
                parts[at : at + len(wanted)] = [","] * len(wanted)
    return " ".join(parts)


def _without_ending(window: list[str]) -> list[str]:
    last = window[-1]
    ending = max((e for e in ENDINGS if last.endswith(e)), key=len, default="")
    return [*window[:-1], last.removesuffix(ending)]


def near_words(locale: Locale, packages: Path, known: set[str]) -> dict[str, list[str]]:
    """Words that people type for something like a thing, each with up to three things' names."""
    keywords = _keywords(packages, locale)
    characters = _icon_characters(packages)
    near: dict[str, list[str]] = defaultdict(list)
    for thing in all_things():
        for keyword in _keywords_of(thing, characters, keywords):
            wanted = keyword not in known and keyword not in UNANSWERED
            if wanted and len(near[keyword]) < NEAR_AT_MOST:
                name = thing.names[locale][0]
                if name not in near[keyword]:
                    near[keyword].append(name)
    return {word: names for word, names in sorted(near.items()) if names}


def _keywords_of(
    thing: Thing, characters: dict[str, str], keywords: dict[str, list[str]]
) -> list[str]:
    listed = [keywords.get(characters.get(icon, ""), []) for icon in thing.icons]
    return [word.lower() for words in listed for word in words if word.isalpha()]


def _icon_characters(packages: Path) -> dict[str, str]:
    pairs: dict[str, str] = _load(packages / "@iconify-json/fluent-emoji-flat/chars.json")
    characters: dict[str, str] = {}
    for codes, icon in pairs.items():
        text = "".join(chr(int(code, 16)) for code in codes.split("-"))
        characters.setdefault(icon, text.replace("\ufe0f", ""))
    return characters


def _keywords(packages: Path, locale: Locale) -> dict[str, list[str]]:
    path = packages / "cldr-annotations-full" / "annotations" / locale / "annotations.json"
    entries: dict[str, Any] = _load(path)["annotations"]["annotations"]
    return {char: entry.get("default", []) for char, entry in entries.items()}


def _load(path: Path) -> Any:
    if not path.is_file():
        raise MissingSource(f"{path} is missing: install the npm packages of the model card.")
    return json.loads(path.read_text("utf-8"))
