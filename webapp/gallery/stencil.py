"""The tiles of a wall. Sixty of them are most of what a page costs: the template is drawn once a
page, with holes where the images differ, and the holes are filled sixty times.
"""

import re
from collections.abc import Callable

from django.template.loader import render_to_string
from django.utils.html import escape

from webapp.gallery.selectors import Picture

PROMPT_LETTERS = 120
# What no prompt, address or translation holds stands for a hole.
HOLES = {name: f"\ue000{name}\ue001" for name in ("id", "prompt", "width", "height")}
HOLE = re.compile("\ue000([a-z]+)\ue001")
NO_ID = "00000000-0000-0000-0000-000000000000"


def cut_stencil(*, is_bin: bool) -> Callable[[Picture], str]:
    """A function that draws the tile of an image as HTML, escaped."""
    context = {"holes": HOLES, "no_id": NO_ID, "is_bin": is_bin}
    stencils = {}
    for is_favourite in (False, True):
        html = render_to_string("gallery/_tile.html", {**context, "is_favourite": is_favourite})
        stencils[is_favourite] = HOLE.split(html.replace(NO_ID, HOLES["id"]))

    def draw(picture: Picture) -> str:
        values = {
            "id": str(picture.pk),
            "prompt": escape(_shorten(picture.prompt)),
            "width": str(picture.width_px),
            "height": str(picture.height_px),
        }
        parts = list(stencils[picture.is_favourite])
        parts[1::2] = [values[name] for name in parts[1::2]]
        return "".join(parts)

    return draw


def _shorten(prompt: str) -> str:
    return prompt if len(prompt) <= PROMPT_LETTERS else f"{prompt[: PROMPT_LETTERS - 1]}…"
