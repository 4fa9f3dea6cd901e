"""The fixed prompts of the evaluation: 200 of a single thing and 100 composed ones."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator

from worker.training.captions import Names, english, korean
from worker.training.concepts import COLOURS, STYLES, Locale, all_icons
from worker.training.scenes import Layout, Scene

SINGLE: Final = 200
COMPOSED: Final = 100
KOREAN_EVERY: Final = 5
PROMPTS_SEED: Final = 2026


@dataclass(frozen=True)
class Prompt:
    """A prompt, and the scene it asks for; every one names its background and its style."""

    text: str
    scene: Scene


def single_prompts(names: Names) -> list[Prompt]:
    """Every concept at least once, alone, its style and background drawn once and for all."""
    rng = np.random.default_rng(PROMPTS_SEED)
    icons = list(all_icons())
    order = [icons[i % len(icons)] for i in range(SINGLE)]
    return [_prompt(_scene("single", (icon,), rng), names, i, rng) for i, icon in enumerate(order)]


def composed_prompts(names: Names) -> list[Prompt]:
    """Pairs, trios, counts and places in the frame."""
    rng = np.random.default_rng(PROMPTS_SEED + 1)
    layouts: tuple[Layout, ...] = ("pair", "count", "pair", "small", "left", "right", "trio")
    return [
        _prompt(_scene(layouts[i % len(layouts)], None, rng), names, i, rng)
        for i in range(COMPOSED)
    ]


def _scene(layout: Layout, things: tuple[str, ...] | None, rng: Generator) -> Scene:
    if things is None:
        drawn = [all_icons()[int(i)] for i in rng.choice(len(all_icons()), 3, replace=False)]
        many = {"pair": 2, "trio": 3}.get(layout, 1)
        things = (drawn[0],) * int(rng.integers(2, 4)) if layout == "count" else tuple(drawn[:many])
    style = STYLES[int(rng.integers(len(STYLES)))]
    return Scene(layout, things, style, COLOURS[int(rng.integers(len(COLOURS)))])


def _prompt(scene: Scene, names: Names, index: int, rng: Generator) -> Prompt:
    locale: Locale = "ko" if index % KOREAN_EVERY == KOREAN_EVERY - 1 else "en"
    words = [names.of(thing, locale)[0] for thing in scene.things]
    write = korean if locale == "ko" else english
    colour, style = scene.background.words[locale][0], scene.style.words[locale][0]
    return Prompt(write(scene, words, colour, style, rng), scene)
