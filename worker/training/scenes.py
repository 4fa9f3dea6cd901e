"""Scenes: what stands where, how drawn, on which background; drawn by chance, then painted.

A scene is data, so that its picture and its captions come from one source and cannot disagree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from worker.training.concepts import (
    COLOUR_BY_SLUG,
    COLOURFUL_SECTIONS,
    COLOURFUL_THINGS,
    COLOURS,
    STYLE_BY_SLUG,
    STYLES,
    THING_COLOURS,
    Colour,
    Style,
)
from worker.training.finishes import FINISHES, Rgba, main_hue, recoloured
from worker.training.icons import IconLibrary
from worker.training.things import Thing, all_things

Layout = Literal["single", "small", "large", "left", "right", "count", "pair", "trio"]

# How often each layout is drawn. Single things are what people type first; the others teach the
# words that combine them.
LAYOUT_SHARES: Final[dict[Layout, float]] = {
    "single": 0.64,
    "small": 0.035,
    "large": 0.035,
    "left": 0.025,
    "right": 0.025,
    "count": 0.10,
    "pair": 0.10,
    "trio": 0.04,
}
# The side of a cell is what one latent covers. Things are moved by whole cells and have a few sizes
# of whole cells, so that a drawing's latents are nearly the same pattern wherever it stands: there
# is less to learn.
CELLS: Final = 16  # of a frame's side


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a layout puts one thing, in cells: one of `sizes`, its left upper corner so that it
    stands in the middle of the box [left, left + width] x [top, top + height], or up to
    `sway` cells beside that, but never out of it."""

    left: int
    top: int
    width: int
    height: int
    sizes: tuple[int, ...]
    sway: int = 1

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the box, as shares of the frame."""
        return (self.left + self.width / 2) / CELLS, (self.top + self.height / 2) / CELLS

    @property
    def largest(self) -> float:
        """The largest size, as a share of the frame."""
        return max(self.sizes) / CELLS


SLOTS: Final[dict[Layout, tuple[Slot, ...]]] = {
    "single": (Slot(0, 0, 16, 16, (12, 14)),),
    "small": (Slot(0, 0, 16, 16, (6,)),),
    "large": (Slot(0, 0, 16, 16, (16,)),),
    "left": (Slot(0, 0, 8, 16, (7,)),),
    "right": (Slot(8, 0, 8, 16, (7,)),),
    "pair": (Slot(0, 4, 8, 8, (7,)), Slot(8, 4, 8, 8, (7,))),
    "trio": (Slot(4, 0, 8, 8, (6, 7)), Slot(0, 8, 8, 8, (6, 7)), Slot(8, 8, 8, 8, (6, 7))),
}
COLOURED_SHARE: Final = 0.16  # of the things have a colour that the caption names
QUIETLY_COLOURED_SHARE: Final = 0.35  # of colourful things have one that it does not
TURNED_SHARE: Final = 0.0  # of the drawings lean to a side
TURN_DEG: Final = 12.0
ICON_PX: Final = 256
PROBE_PX: Final = 48  # enough to see what colour an icon is
PIXELS: Final = 32  # the side of a frame of pixel art


@dataclass(frozen=True, slots=True)
class Pose:
    """One drawing of a thing, and how it stands: `centre` and `size` are shares of the frame."""

    icon_set: str
    icon: str
    finish: str
    centre: tuple[float, float]
    size: float
    turn_deg: float
    mirrored: bool
    colour: str = ""  # "" where it is the drawing's own


@dataclass(frozen=True, slots=True)
class Scene:
    """`things` are slugs in reading order; a count repeats the same one. `colour` is the colour
    that the caption names, "" for none."""

    layout: Layout
    things: tuple[str, ...]
    style: Style
    background: Colour
    poses: tuple[Pose, ...]
    colour: str = ""


class Stage:
    """Draws scenes by chance, of `things` in the styles that the icon library can show, and
    paints them from icons of `icon_px`: as large as the picture, or it is soft."""

    def __init__(
        self,
        icons: IconLibrary,
        things: Sequence[Thing] | None = None,
        *,
        icon_px: int = ICON_PX,
    ) -> None:
        self.icons, self.icon_px = icons, icon_px
        self.things = tuple(things or all_things())
        self.by_slug = {thing.slug: thing for thing in all_things()}
        self._drawings = cache(self._find_drawings)
        self._finished = lru_cache(maxsize=20_000)(self._finish)
        self._hue = cache(self._find_hue)

    def draw(
        self,
        rng: Generator,
        *,
        layout: Layout | None = None,
        things: tuple[str, ...] | None = None,
        style: Style | None = None,
        background: Colour | None = None,
        colour: str | None = None,
    ) -> Scene:
        """A scene drawn by chance from `rng`, but for what is given; the same generator state
        draws the same scene. `colour`: "" for the drawing's own."""
        layout = layout or _chosen(rng, LAYOUT_SHARES)
        things = things or self._draw_things(rng, layout)
        style = style or STYLES[int(rng.choice(len(STYLES), p=_style_shares()))]
        background = background or COLOURS[int(rng.integers(len(COLOURS)))]
        if colour is None:
            colour = self._draw_colour(rng, things, style, background)
        poses = self._draw_poses(rng, layout, things, style, colour)
        return Scene(layout, things, style, background, poses, colour)

    def paint(self, scene: Scene, size_px: int) -> NDArray[np.uint8]:
        """The picture of `scene`: sRGB of shape [size_px, size_px, 3] in 0..255."""
        if scene.style.finish == "pixels":
            small = self._paint(scene, PIXELS, crisp=True)
            return small.repeat(size_px // PIXELS, axis=0).repeat(size_px // PIXELS, axis=1)
        return self._paint(scene, size_px, crisp=False)

    def can_colour(self, slug: str, style: Style) -> bool:
        """Whether a drawing of the thing in that style has one main colour to be replaced."""
        return any(self._takes_colour(*drawing[:2]) for drawing in self.drawings(slug, style))

    def drawings(self, slug: str, style: Style) -> tuple[tuple[str, str, str], ...]:
        """(icon set, icon, finish) of every drawing of the thing in the style."""
        return self._drawings(slug, style.slug)

    def _find_drawings(self, slug: str, style_slug: str) -> tuple[tuple[str, str, str], ...]:
        style = STYLE_BY_SLUG[style_slug]
        icons = self.by_slug[slug].icons
        names = [self.icons.find(style.icon_set, icon) for icon in icons]
        found = tuple((style.icon_set, name, style.finish) for name in names if name is not None)
        if not found:
            raise ValueError(f"Nothing shows {slug!r} in {style.slug!r}.")
        return found

    def _draw_things(self, rng: Generator, layout: Layout) -> tuple[str, ...]:
        if layout == "count":
            thing = self.things[int(rng.integers(len(self.things)))]
            return (thing.slug,) * int(rng.integers(2, 4))
        how_many = len(SLOTS[layout])
        chosen = rng.choice(len(self.things), how_many, replace=False)
        return tuple(self.things[int(i)].slug for i in chosen)

    def _draw_colour(
        self, rng: Generator, things: tuple[str, ...], style: Style, background: Colour
    ) -> str:
        """The colour that a caption names: only of a single kind of thing that can be coloured,
        and never the background's."""
        if rng.random() >= COLOURED_SHARE or len(set(things)) > 1:
            return ""
        colour = THING_COLOURS[int(rng.integers(len(THING_COLOURS)))]
        if colour.slug == background.slug or not self.can_colour(things[0], style):
            return ""
        return colour.slug

    def _draw_poses(
        self,
        rng: Generator,
        layout: Layout,
        things: tuple[str, ...],
        style: Style,
        colour: str,
    ) -> tuple[Pose, ...]:
        poses: list[Pose] = []
        for thing, slot in zip(things, slots_of(layout, len(things)), strict=True):
            first = poses[0] if poses and thing == things[0] else None
            poses.append(self._draw_pose(rng, thing, slot, style, colour, like=first))
        return tuple(poses)

    def _draw_pose(
        self,
        rng: Generator,
        thing: str,
        slot: Slot,
        style: Style,
        colour: str,
        *,
        like: Pose | None,
    ) -> Pose:
        """Several of one thing are drawn alike, but each stands in its own way."""
        size = slot.sizes[int(rng.integers(len(slot.sizes)))]
        left = slot.left + _swayed(rng, slot.width - size, slot.sway)
        top = slot.top + _swayed(rng, slot.height - size, slot.sway)
        icon_set, icon, finish, colour = (
            (like.icon_set, like.icon, like.finish, like.colour)
            if like is not None
            else self._choose_drawing(rng, thing, style, colour)
        )
        return Pose(
            icon_set=icon_set,
            icon=icon,
            finish=finish,
            centre=((left + size / 2) / CELLS, (top + size / 2) / CELLS),
            size=size / CELLS,
            turn_deg=_turn(rng),
            mirrored=bool(rng.random() < 0.5),
            colour=colour,
        )

    def _choose_drawing(
        self, rng: Generator, thing: str, style: Style, colour: str
    ) -> tuple[str, str, str, str]:
        drawings = self.drawings(thing, style)
        if colour:
            drawings = tuple(d for d in drawings if self._takes_colour(*d[:2]))
        elif is_colourful(self.by_slug[thing]) and rng.random() < QUIETLY_COLOURED_SHARE:
            colour = THING_COLOURS[int(rng.integers(len(THING_COLOURS) - 2))].slug
        icon_set, icon, finish = drawings[int(rng.integers(len(drawings)))]
        if colour and not self._takes_colour(icon_set, icon):
            colour = ""
        return icon_set, icon, finish, colour

    def _takes_colour(self, icon_set: str, icon: str) -> bool:
        return self._hue(icon_set, icon) is not None

    def _find_hue(self, icon_set: str, icon: str) -> float | None:
        return main_hue(self.icons.render(icon_set, icon, PROBE_PX))

    def _finish(self, icon_set: str, icon: str, finish: str, colour: str) -> Rgba:
        """The drawing with its finish, in its own colours or, where it has a main one, another."""
        rgba = self.icons.render(icon_set, icon, self.icon_px)
        hue = self._hue(icon_set, icon) if colour else None
        if hue is not None:
            rgba = recoloured(rgba, hue, COLOUR_BY_SLUG[colour])
        return FINISHES[finish](rgba)

    def _paint(self, scene: Scene, size_px: int, *, crisp: bool) -> NDArray[np.uint8]:
        canvas = Image.new("RGB", (size_px, size_px), scene.background.rgb)
        for pose in scene.poses:
            drawn = self._finished(pose.icon_set, pose.icon, pose.finish, pose.colour)
            layer = _placed(drawn, pose, size_px, crisp=crisp)
            canvas.paste(layer.convert("RGB"), (0, 0), layer.getchannel("A"))
        return np.asarray(canvas)


def _placed(drawn: Rgba, pose: Pose, size_px: int, *, crisp: bool) -> Image.Image:
    """The drawing as a layer of the frame, straight RGBA: scaled, turned, mirrored, moved."""
    side = pose.size * size_px
    image = Image.fromarray(drawn).convert("RGBa")
    if pose.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    whole = max(1, round(side))
    image = image.resize((whole, whole), Image.Resampling.LANCZOS)
    if pose.turn_deg and not crisp:
        image = image.rotate(pose.turn_deg, Image.Resampling.BICUBIC)
    layer = Image.new("RGBa", (size_px, size_px))
    left, top = (round(centre * size_px - side / 2) for centre in pose.centre)
    layer.paste(image, (left, top))
    straight = layer.convert("RGBA")
    if crisp:
        straight.putalpha(straight.getchannel("A").point(lambda alpha: 255 if alpha > 110 else 0))
    return straight


def _swayed(rng: Generator, free: int, sway: int) -> int:
    """Cells before a thing that has `free` of them beside it: half, give or take `sway`; of an odd
    number either half."""
    least, most = max(0, free // 2 - sway), min(free, (free + 1) // 2 + sway)
    return int(rng.integers(least, most + 1))


def _turn(rng: Generator) -> float:
    if rng.random() >= TURNED_SHARE:
        return 0.0
    return TURN_DEG if rng.random() < 0.5 else -TURN_DEG


def slots_of(layout: Layout, things: int) -> tuple[Slot, ...]:
    """Where the things of a layout stand."""
    if layout == "count":
        return SLOTS["pair"] if things == 2 else SLOTS["trio"]
    return SLOTS[layout]


def is_colourful(thing: Thing) -> bool:
    """Whether the thing comes in any colour, as a balloon does and a banana does not."""
    return thing.section in COLOURFUL_SECTIONS or thing.slug in COLOURFUL_THINGS.split()


@cache
def _style_shares() -> list[float]:
    whole = sum(style.share for style in STYLES)
    return [style.share / whole for style in STYLES]


def _chosen(rng: Generator, shares: dict[Layout, float]) -> Layout:
    return list(shares)[int(rng.choice(len(shares), p=list(shares.values())))]
