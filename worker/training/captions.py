"""Captions: a scene in the words of a person, in English or Korean (`korean.py`).

A caption may leave out the background or the style. Most white backgrounds are left out, so that
a prompt which names none usually gets white. Only 3d is left out: a denoiser that has to guess
between several styles draws a mosaic of them.
"""

from typing import Final

from numpy.random import Generator

from worker.training.concepts import COLOUR_BY_SLUG
from worker.training.korean import korean
from worker.training.scenes import Scene
from worker.training.things import Locale, thing_by_slug

KOREAN_SHARE: Final = 0.28
SYNONYM_SHARE: Final = 0.3
CLOSED_UP_SHARE: Final = 0.25  # of Korean captions write compound names without spaces
SILENT_BACKGROUND: Final = {"white": 0.9}
SILENT_BACKGROUND_OTHERWISE: Final = 0.02
SILENT_STYLE: Final = {"3d": 0.65}
SILENT_STYLE_OTHERWISE: Final = 0.0

# What people put in front of a thing, and what changes nothing about it.
OPENINGS: Final = ("a picture of ", "a drawing of ", "an icon of ", "an image of ", "draw ")
PRAISE: Final = ("cute", "beautiful", "nice", "little", "simple", "colorful", "funny")
OPENING_SHARE: Final = 0.06
PRAISE_SHARE: Final = 0.08

IRREGULAR_PLURALS: Final = {
    "mouse": "mice",
    "sheep": "sheep",
    "deer": "deer",
    "fish": "fish",
    "squid": "squid",
    "shrimp": "shrimp",
    "tooth": "teeth",
    "wolf": "wolves",
    "knife": "knives",
    "scarf": "scarves",
    "leaf": "leaves",
    "goose": "geese",
    "dice": "dice",
    "goldfish": "goldfish",
    "wine": "glasses of wine",
}
# Words that are plural already, or that no one counts.
PLURAL_ENDINGS: Final = (
    "s",
    "sushi",
    "popcorn",
    "spaghetti",
    "pasta",
    "corn",
    "rice",
    "broccoli",
    "garlic",
    "money",
    "music",
    "lightning",
    "milk",
    "fire",
    "meat",
    "honey",
    "beer",
    "juice",
    "soap",
)
NUMBERS: Final = {2: "two", 3: "three"}


def describe(scene: Scene, rng: Generator) -> str:
    """A caption of `scene` drawn by chance from `rng`."""
    locale: Locale = "ko" if rng.random() < KOREAN_SHARE else "en"
    words = [pick_name(thing_by_slug()[thing].names[locale], rng) for thing in scene.things]
    if locale == "ko" and rng.random() < CLOSED_UP_SHARE:
        words = [word.replace(" ", "") for word in words]
    if scene.layout == "count":
        words = [words[0]] * len(words)
    says_background = rng.random() >= SILENT_BACKGROUND.get(
        scene.background.slug, SILENT_BACKGROUND_OTHERWISE
    )
    says_style = rng.random() >= SILENT_STYLE.get(scene.style.slug, SILENT_STYLE_OTHERWISE)
    background = pick_name(scene.background.words[locale], rng) if says_background else None
    style = pick_name(scene.style.words[locale], rng) if says_style else None
    colour = pick_name(COLOUR_BY_SLUG[scene.colour].words[locale], rng) if scene.colour else None
    write = korean if locale == "ko" else english
    return write(scene, words, background=background, style=style, colour=colour, rng=rng)


def english(
    scene: Scene,
    words: list[str],
    *,
    background: str | None,
    style: str | None,
    colour: str | None,
    rng: Generator,
) -> str:
    """ "a red cat on a blue background, 3d style", or a shorter way to say it."""
    subject = _subject(scene, words, colour, rng)
    if rng.random() < OPENING_SHARE:
        subject = OPENINGS[int(rng.integers(len(OPENINGS)))] + subject
    if background is not None:
        form = ("{} on {} background", "{}, {} background", "{} in front of {} background")
        chosen = int(rng.choice(3, p=(0.7, 0.2, 0.1)))
        named = background if chosen == 1 else with_article(background)
        subject = form[chosen].format(subject, named)
    if style is None:
        return subject
    return f"{style}, {subject}" if rng.random() < 0.15 else f"{subject}, {style}"


def _subject(scene: Scene, words: list[str], colour: str | None, rng: Generator) -> str:
    adjectives = [colour] if colour else []
    if scene.layout in ("small", "large"):
        adjectives.insert(0, _size_word(scene.layout, rng))
    elif rng.random() < PRAISE_SHARE:
        adjectives.insert(0, PRAISE[int(rng.integers(len(PRAISE)))])
    first = " ".join([*adjectives, words[0]])
    if scene.layout == "count":
        return f"{NUMBERS[len(words)]} {plural(first)}"
    named = [first, *words[1:]]
    phrases = named if rng.random() < 0.2 else [with_article(word) for word in named]
    match scene.layout:
        case "left" | "right":
            return f"{phrases[0]} on the {scene.layout}"
        case "pair":
            joined = " and " if rng.random() < 0.8 else " with "
            return joined.join(phrases)
        case "trio":
            return f"{phrases[0]}, {phrases[1]} and {phrases[2]}"
        case _:
            if rng.random() < 0.05 and not first.endswith("s"):
                return f"one {first}"
            return phrases[0]


def _size_word(layout: str, rng: Generator) -> str:
    words = ("small", "tiny") if layout == "small" else ("big", "large", "huge")
    return pick_name(words, rng)


def with_article(word: str) -> str:
    """ "a cat", "an owl", "a ufo"; plural words stay bare."""
    if word.endswith("s") and not word.endswith(("ss", "us", "is", "as")):
        return word
    first = word.split()[0]
    sounds_open = first[0] in "aeio" or (first.startswith(("um", "un")) and first != "unicorn")
    return f"{'an' if sounds_open else 'a'} {word}"


def plural(word: str) -> str:
    """The plural of an English name; only its last word changes."""
    head, _, last = word.rpartition(" ")
    if last in IRREGULAR_PLURALS:
        last = IRREGULAR_PLURALS[last]
    elif last.endswith(("ch", "sh", "x", "ss", "bus")):
        last += "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        last = last[:-1] + "ies"
    elif last.endswith(("tomato", "potato", "volcano", "tornado", "mango")):
        last += "es"
    elif not last.endswith(PLURAL_ENDINGS):
        last += "s"
    return f"{head} {last}".strip()


def pick_name(names: tuple[str, ...], rng: Generator) -> str:
    """The first name mostly, a synonym now and then."""
    if len(names) == 1 or rng.random() >= SYNONYM_SHARE:
        return names[0]
    return names[1 + int(rng.integers(len(names) - 1))]
