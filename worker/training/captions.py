"""Captions: a scene in the words of a person, in English or Korean.

A caption may leave out the background or the style. Most white backgrounds are left out, so that
a prompt which names none usually gets white. The style that is left out is nearly always 3d: a
prompt that names none means that one, and the denoiser need not guess between three drawings. The
cartoon one is left out now and then, so that such a prompt is not always answered alike.
"""

import json
from pathlib import Path
from typing import Any, Final

from numpy.random import Generator

from worker.training.concepts import ENGLISH, ICONS, KOREAN, Locale
from worker.training.icons import MissingSource
from worker.training.scenes import Scene

KOREAN_SHARE: Final = 0.25
SYNONYM_SHARE: Final = 0.3
SILENT_BACKGROUND: Final = {"white": 0.9}
SILENT_BACKGROUND_OTHERWISE: Final = 0.02
SILENT_STYLE: Final = {"3d": 0.6, "flat": 0.0, "cartoon": 0.12}

IRREGULAR_PLURALS: Final = {
    "mouse": "mice",
    "fish": "fish",
    "sheep": "sheep",
    "deer": "deer",
    "tooth": "teeth",
    "wolf": "wolves",
    "butterfly": "butterflies",
    "strawberry": "strawberries",
    "blowfish": "blowfish",
    "dice": "dice",
}
# Words that are plural already, or that no one counts: "three pairs of jeans" is not for us.
PLURAL_ENDINGS: Final = ("s", "fries", "sushi", "popcorn", "spaghetti", "corn", "bread", "fire")

NUMBERS: Final[dict[Locale, dict[int, str]]] = {
    "en": {2: "two", 3: "three"},
    "ko": {2: "두", 3: "세"},
}


class Names:
    """What the concepts are called: our own words first, CLDR's short name as a synonym."""

    def __init__(self, packages: Path) -> None:
        self._chars = _icon_characters(packages)
        self._cldr = {locale: _short_names(packages, locale) for locale in ("en", "ko")}

    def of(self, icon: str, locale: Locale) -> tuple[str, ...]:
        """The names of `icon`, the most usual first; never empty."""
        own = ENGLISH if locale == "en" else KOREAN
        cldr = self._cldr[locale].get(self._chars.get(icon, ""), "")
        if locale == "en":
            known = own.get(icon, (icon.replace("-", " "),))
        else:
            known = own.get(icon, (_without_face(icon, cldr),))
        if not known[0]:
            raise MissingSource(f"CLDR has no {locale} name for {icon!r}: add one to concepts.py.")
        return known


def _without_face(icon: str, name: str) -> str:
    """CLDR says "cat face" where the icon is the only cat we have."""
    is_animal = icon in ICONS["animals"].split() or icon == "robot"
    return name.removesuffix(" 얼굴") if is_animal else name


def _icon_characters(packages: Path) -> dict[str, str]:
    path = packages / "@iconify-json" / "fluent-emoji-flat" / "chars.json"
    pairs: dict[str, str] = _load(path)
    characters: dict[str, str] = {}
    for codes, icon in pairs.items():
        text = "".join(chr(int(code, 16)) for code in codes.split("-"))
        characters.setdefault(icon, text.replace("\ufe0f", ""))
    return characters


def _short_names(packages: Path, locale: str) -> dict[str, str]:
    path = packages / "cldr-annotations-full" / "annotations" / locale / "annotations.json"
    entries: dict[str, Any] = _load(path)["annotations"]["annotations"]
    return {char: entry["tts"][0] for char, entry in entries.items() if "tts" in entry}


def _load(path: Path) -> Any:
    if not path.is_file():
        raise MissingSource(f"{path} is missing: install the npm packages named in icons.py.")
    return json.loads(path.read_text("utf-8"))


def describe(scene: Scene, names: Names, rng: Generator) -> str:
    """A caption of `scene` drawn by chance from `rng`."""
    locale: Locale = "ko" if rng.random() < KOREAN_SHARE else "en"
    words = [_pick_name(names.of(thing, locale), rng) for thing in scene.things]
    says_background = rng.random() >= SILENT_BACKGROUND.get(
        scene.background.slug, SILENT_BACKGROUND_OTHERWISE
    )
    says_style = rng.random() >= SILENT_STYLE[scene.style.slug]
    colour = _pick(scene.background.words[locale], rng) if says_background else None
    style = _pick(scene.style.words[locale], rng) if says_style else None
    if locale == "en":
        return english(scene, words, colour, style, rng)
    return korean(scene, words, colour, style, rng)


def english(
    scene: Scene, words: list[str], colour: str | None, style: str | None, rng: Generator
) -> str:
    """ "a cat and a house on a blue background, 3d style", or a shorter way to say it."""
    subject = _english_subject(scene, words, bare=rng.random() < 0.2)
    if colour is not None:
        form = ("{} on a {} background", "{}, {} background", "{} in front of a {} background")
        article = "an" if colour[0] in "aeiou" else "a"
        text = form[int(rng.choice(3, p=(0.7, 0.2, 0.1)))].format(subject, colour)
        subject = text.replace(" a orange", f" {article} orange")
    if style is None:
        return subject
    return f"{style}, {subject}" if rng.random() < 0.15 else f"{subject}, {style}"


def _english_subject(scene: Scene, words: list[str], *, bare: bool) -> str:
    if scene.layout == "count":
        return f"{NUMBERS['en'][len(words)]} {plural(words[0])}"
    phrases = words if bare else [with_article(word) for word in words]
    match scene.layout:
        case "single":
            return phrases[0]
        case "small":
            return with_article(f"small {words[0]}")
        case "large":
            return with_article(f"big {words[0]}")
        case "left" | "right":
            return f"{phrases[0]} on the {scene.layout}"
        case "pair":
            return f"{phrases[0]} and {phrases[1]}"
        case _:
            return f"{phrases[0]}, {phrases[1]} and {phrases[2]}"


def with_article(word: str) -> str:
    """ "a cat", "an owl", "a ufo"; plural words stay bare."""
    if word.endswith(("s", "fries")) and not word.endswith(("ss", "us", "is", "as")):
        return word
    sounds_open = word[0] in "aeio" or word.startswith(("um",))
    return f"{'an' if sounds_open else 'a'} {word}"


def plural(word: str) -> str:
    """The plural of an English name; only its last word changes."""
    head, _, last = word.rpartition(" ")
    if last in IRREGULAR_PLURALS:
        last = IRREGULAR_PLURALS[last]
    elif last.endswith(("ch", "sh", "x", "ss")):
        last += "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        last = last[:-1] + "ies"
    elif not last.endswith(PLURAL_ENDINGS):
        last += "s"
    return f"{head} {last}".strip()


def korean(
    scene: Scene, words: list[str], colour: str | None, style: str | None, rng: Generator
) -> str:
    """ "파란 배경의 고양이와 집, 3d 스타일", or a shorter way to say it."""
    subject = _korean_subject(scene, words)
    if colour is not None:
        form = ("{1} 배경의 {0}", "{1} 배경에 {0}", "{0}, {1} 배경")
        subject = form[int(rng.choice(3, p=(0.6, 0.25, 0.15)))].format(subject, colour)
    return subject if style is None else f"{subject}, {style}"


def _korean_subject(scene: Scene, words: list[str]) -> str:
    match scene.layout:
        case "small":
            return f"작은 {words[0]}"
        case "large":
            return f"큰 {words[0]}"
        case "left" | "right":
            return f"{'왼쪽' if scene.layout == 'left' else '오른쪽'}에 있는 {words[0]}"
        case "count":
            counter = "마리" if scene.things[0] in ICONS["animals"].split() else "개"
            return f"{words[0]} {NUMBERS['ko'][len(words)]} {counter}"
        case "pair":
            return f"{words[0]}{particle_and(words[0])} {words[1]}"
        case _:
            return ", ".join(words)


def particle_and(word: str) -> str:
    """과 after a syllable with a final consonant, 와 otherwise."""
    last = ord(word[-1])
    has_final = 0xAC00 <= last <= 0xD7A3 and (last - 0xAC00) % 28 != 0
    return "과" if has_final else "와"


def _pick_name(names: tuple[str, ...], rng: Generator) -> str:
    if len(names) == 1 or rng.random() >= SYNONYM_SHARE:
        return names[0]
    return names[1 + int(rng.integers(len(names) - 1))]


def _pick(words: tuple[str, ...], rng: Generator) -> str:
    return words[int(rng.integers(len(words)))]
