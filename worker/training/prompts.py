"""The fixed prompts of the evaluation: of every thing alone, of coloured things, and composed."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator

from worker.training.captions import english
from worker.training.concepts import COLOUR_BY_SLUG, COLOURS, STYLES, THING_COLOURS, Colour, Style
from worker.training.korean import korean
from worker.training.scenes import Layout, Scene, Stage
from worker.training.things import Locale, all_things, thing_by_slug

COLOURED: Final = 120
COMPOSED: Final = 140
KOREAN_EVERY: Final = 5
PROMPTS_SEED: Final = 2026


@dataclass(frozen=True)
class Prompt:
    """A prompt, and the scene it asks for; every one names its background and its style."""

    text: str
    scene: Scene


def single_prompts(stage: Stage) -> list[Prompt]:
    """Every thing once, alone, its style and background drawn once and for all."""
    rng = np.random.default_rng(PROMPTS_SEED)
    return [
        _prompt(stage, rng, number, layout="single", things=(thing.slug,), colour="")
        for number, thing in enumerate(all_things())
    ]


def coloured_prompts(stage: Stage) -> list[Prompt]:
    """Things that are asked for in a colour, of those that can have one in their style."""
    rng = np.random.default_rng(PROMPTS_SEED + 2)
    prompts: list[Prompt] = []
    while len(prompts) < COLOURED:
        thing, style = _any_thing(rng), _any_style(rng)
        colour = THING_COLOURS[int(rng.integers(len(THING_COLOURS)))]
        if stage.can_colour(thing, style):
            prompts.append(
                _prompt(
                    stage,
                    rng,
                    len(prompts),
                    layout="single",
                    things=(thing,),
                    style=style,
                    colour=colour.slug,
                    background=_background_beside(colour, rng),
                )
            )
    return prompts


def composed_prompts(stage: Stage) -> list[Prompt]:
    """Pairs, trios, counts and places in the frame."""
    rng = np.random.default_rng(PROMPTS_SEED + 1)
    layouts: tuple[Layout, ...] = ("pair", "count", "pair", "small", "left", "right", "trio")
    return [
        _prompt(stage, rng, number, layout=layouts[number % len(layouts)], colour="")
        for number in range(COMPOSED)
    ]


def _any_thing(rng: Generator) -> str:
    return all_things()[int(rng.integers(len(all_things())))].slug


def _any_style(rng: Generator) -> Style:
    return STYLES[int(rng.integers(len(STYLES)))]


def _background_beside(colour: Colour, rng: Generator) -> Colour:
    others = [one for one in COLOURS if one.slug != colour.slug]
    return others[int(rng.integers(len(others)))]


def _prompt(
    stage: Stage,
    rng: Generator,
    number: int,
    *,
    layout: Layout,
    colour: str,
    things: tuple[str, ...] | None = None,
    style: Style | None = None,
    background: Colour | None = None,
) -> Prompt:
    scene = stage.draw(
        rng,
        layout=layout,
        things=things,
        style=style or _any_style(rng),
        background=background or COLOURS[int(rng.integers(len(COLOURS)))],
        colour=colour,
    )
    locale: Locale = "ko" if number % KOREAN_EVERY == KOREAN_EVERY - 1 else "en"
    write = korean if locale == "ko" else english
    text = write(
        scene,
        [thing_by_slug()[thing].names[locale][0] for thing in scene.things],
        background=scene.background.words[locale][0],
        style=scene.style.words[locale][0],
        colour=COLOUR_BY_SLUG[colour].words[locale][0] if colour else None,
        rng=rng,
    )
    return Prompt(text, scene)
