"""The tiles of a wall. Sixty of them are most of what a page costs: the template is drawn once a
page, with holes where the images differ, and the holes are filled sixty times.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from webapp.gallery.selectors import WallImage

PROMPT_LETTERS = 120
# What no prompt, address or translation holds stands for a hole.
HOLES = {name: f"\ue000{name}\ue001" for name in ("id", "prompt", "width", "height")}
HOLE = re.compile("\ue000([a-z]+)\ue001")
NO_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Day:
    """The tiles of what was finished, or put into the bin, on one day."""

    date: date
    tiles: SafeString


def tiles_by_day(images: list[WallImage], *, is_bin: bool) -> list[Day]:
    """The tiles of the images, which are in the order of the wall, a day at a time."""

    def day(image: WallImage) -> date:
        return timezone.localdate(image.binned_at if is_bin else image.finished_at)

    draw = _cut_stencil(is_bin=is_bin)
    return [
        Day(when, mark_safe("".join(map(draw, of_day))))  # noqa: S308 - the stencil escapes
        for when, of_day in groupby(images, key=day)
    ]


def _cut_stencil(*, is_bin: bool) -> Callable[[WallImage], str]:
    """A function that draws the tile of an image as HTML, escaped."""
    context = {"holes": HOLES, "no_id": NO_ID, "is_bin": is_bin}
    stencils = {}
    for is_favourite in (False, True):
        html = render_to_string("gallery/_tile.html", {**context, "is_favourite": is_favourite})
        stencils[is_favourite] = HOLE.split(html.replace(NO_ID, HOLES["id"]))

    def draw(image: WallImage) -> str:
        values = {
            "id": str(image.pk),
            "prompt": escape(_shorten(image.prompt)),
            "width": str(image.width_px),
            "height": str(image.height_px),
        }
        parts = list(stencils[image.is_favourite])
        parts[1::2] = [values[name] for name in parts[1::2]]
        return "".join(parts)

    return draw


def _shorten(prompt: str) -> str:
    return prompt if len(prompt) <= PROMPT_LETTERS else f"{prompt[: PROMPT_LETTERS - 1]}…"
