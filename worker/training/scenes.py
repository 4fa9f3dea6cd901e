"""Scenes: what stands where, in which style, on which background; drawn by chance, then painted.

A scene is data, so that its picture and its captions come from one source and cannot disagree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from worker.training.concepts import COLOURS, STYLES, Colour, Style
from worker.training.icons import IconLibrary

Layout = Literal["single", "small", "large", "left", "right", "count", "pair", "trio"]

# How often each layout is drawn. Single things are what people type first; the others teach the
# words that combine them.
LAYOUT_SHARES: Final[dict[Layout, float]] = {
    "single": 0.62,
    "small": 0.04,
    "large": 0.04,
    "left": 0.03,
    "right": 0.03,
    "count": 0.10,
    "pair": 0.10,
    "trio": 0.04,
}

# (centre x, centre y, size) of each thing, as fractions of the frame.
SLOTS: Final[dict[Layout, tuple[tuple[float, float, float], ...]]] = {
    "single": ((0.5, 0.5, 0.84),),
    "small": ((0.5, 0.5, 0.42),),
    "large": ((0.5, 0.5, 0.96),),
    "left": ((0.27, 0.5, 0.48),),
    "right": ((0.73, 0.5, 0.48),),
    "pair": ((0.26, 0.5, 0.48), (0.74, 0.5, 0.48)),
    "trio": ((0.5, 0.27, 0.44), (0.26, 0.73, 0.44), (0.74, 0.73, 0.44)),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """`things` are icon names in reading order; a count repeats the same name."""

    layout: Layout
    things: tuple[str, ...]
    style: Style
    background: Colour


def draw_scene(rng: Generator, concepts: Sequence[str]) -> Scene:
    """A scene drawn by chance from `rng`; the same generator state draws the same scene."""
    layouts = list(LAYOUT_SHARES)
    layout = layouts[int(rng.choice(len(layouts), p=list(LAYOUT_SHARES.values())))]
    return Scene(
        layout=layout,
        things=_draw_things(rng, layout, concepts),
        style=STYLES[int(rng.integers(len(STYLES)))],
        background=COLOURS[int(rng.integers(len(COLOURS)))],
    )


def _draw_things(rng: Generator, layout: Layout, concepts: Sequence[str]) -> tuple[str, ...]:
    if layout == "count":
        return (concepts[int(rng.integers(len(concepts)))],) * int(rng.integers(2, 4))
    how_many = len(SLOTS[layout])
    return tuple(concepts[int(i)] for i in rng.choice(len(concepts), how_many, replace=False))


def every_single(concepts: Sequence[str]) -> list[Scene]:
    """Each concept alone, in each style, on each background: what must be learned by heart."""
    return [
        Scene("single", (concept,), style, colour)
        for concept in concepts
        for style in STYLES
        for colour in COLOURS
    ]


def slots_of(scene: Scene) -> tuple[tuple[float, float, float], ...]:
    """Where the things of `scene` stand: (centre x, centre y, size), fractions of the frame."""
    if scene.layout == "count":
        return SLOTS["pair"] if len(scene.things) == 2 else SLOTS["trio"]
    return SLOTS[scene.layout]


def paint(scene: Scene, icons: IconLibrary, size_px: int) -> NDArray[np.uint8]:
    """The picture of `scene`: sRGB of shape [size_px, size_px, 3] in 0..255."""
    canvas = np.empty((size_px, size_px, 3), dtype=np.float32)
    canvas[:] = np.asarray(scene.background.rgb, dtype=np.float32) / 255.0
    for thing, (centre_x, centre_y, size) in zip(scene.things, slots_of(scene), strict=True):
        side = round(size * size_px)
        icon = icons.render(scene.style.icon_set, thing, side)
        left, top = round(centre_x * size_px - side / 2), round(centre_y * size_px - side / 2)
        window = canvas[top : top + side, left : left + side]
        window *= 1.0 - icon[..., 3:]
        window += icon[..., :3]
    return np.rint(canvas.clip(0.0, 1.0) * 255.0).astype(np.uint8)
