"""The icon sets as pixels: SVG bodies from the npm packages, rendered by resvg.

The packages, their versions and licences stand in `worker/starter/MODEL_CARD.md`; install them
once, into a folder outside the repository.
"""

import io
import json
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image

SVG: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'viewBox="{left} {top} {side} {side}">{body}</svg>'
)
# What Mozilla's set calls an icon, where that is not the usual name without its hyphens.
FXEMOJI_NAMES: Final = {
    "cat-face": "cat",
    "cat": "catside",
    "dog-face": "dog",
    "dog": "dogside",
    "cow-face": "cowface",
    "house": "housebuilding",
    "pizza": "sliceofpizza",
    "panda": "pandaface",
    "wolf": "wolfface",
    "pig": "pigside",
    "tiger-face": "tiger",
    "tiger": "tigerside",
    "mouse-face": "mouse",
    "mouse": "mouseside",
    "spouting-whale": "spurtingwhale",
    "fox": "foxsmiling",
    "rabbit": "bunnyside",
    "rabbit-face": "bunny",
    "crown": "crown",
    "sun": "sunrays",
    "racing-car": "racecar",
    "eggplant": "aubergine",
    "hot-pepper": "chilipepper",
    "castle": "europeancastle",
    "wrapped-gift": "present",
    "ice-cream": "icecream",
    "locomotive": "steamlocomotive",
    "locked": "lock",
    "snow-capped-mountain": "snowmountains",
    "shrimp": "friedshrimp",
    "t-shirt": "mansshirt",
    "top-hat": "tophat",
    "basketball": "basketballandhoop",
    "american-football": "americanfootball",
    "handbag": "handbag",
    "loudly-crying-face": "loudlycrying",
    "crying-face": "crying",
    "grinning-face": "grinwide",
    "smiling-face-with-smiling-eyes": "smileeyes",
    "winking-face": "winking",
    "sleeping-face": "sleeping",
    "frowning-face": "frown",
    "angry-face": "angry",
    "pouting-face": "pouting",
    "hushed-face": "hushed",
    "face-with-open-mouth": "openmouth",
    "smiling-face-with-sunglasses": "darksunglasses",
    "smiling-face-with-heart-eyes": "hearteyes",
    "smiling-face-with-horns": "devilhorns",
    "pile-of-poo": "poo",
    "full-moon-face": "fullmoonwithface",
    "first-place-medal": "sportsmedal",
}


class MissingSource(Exception):
    """An npm package of the recipe is not where it was looked for."""


class IconLibrary:
    """Renders any icon of any set, each once.

    `packages` is the `node_modules` folder that holds `@iconify-json/*`.
    """

    def __init__(self, packages: Path) -> None:
        self._packages = packages
        self._render = lru_cache(maxsize=None)(self._render_uncached)
        self.icon_set = cache(self._read_icon_set)

    def _read_icon_set(self, name: str) -> dict[str, Any]:
        """The parsed `icons.json` of one set. Raises `MissingSource` when it is not installed."""
        path = self._packages / "@iconify-json" / name / "icons.json"
        if not path.is_file():
            raise MissingSource(f"{path} is missing: install the npm package @iconify-json/{name}.")
        loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return loaded

    def find(self, icon_set: str, icon: str) -> list[str]:
        """What `icon_set` calls `icon`: none, one or several drawings of it."""
        source = self.icon_set(icon_set)
        parents = {name: alias["parent"] for name, alias in source.get("aliases", {}).items()}
        names = (parents.get(name, name) for name in _candidates(icon_set, icon))
        return list(dict.fromkeys(name for name in names if name in source["icons"]))

    def render(self, icon_set: str, icon: str, size_px: int) -> NDArray[np.uint8]:
        """Straight RGBA of shape [size_px, size_px, 4] in 0..255; do not write to it."""
        return self._render(icon_set, icon, size_px)

    def _render_uncached(self, icon_set: str, icon: str, size_px: int) -> NDArray[np.uint8]:
        source = self.icon_set(icon_set)
        entry = source["icons"][icon]
        width, height = (entry.get(k, source.get(k, 16)) for k in ("width", "height"))
        side = max(width, height)  # a few icons are not square: centre them in one that is
        svg = SVG.format(
            left=entry.get("left", 0) - (side - width) / 2,
            top=entry.get("top", 0) - (side - height) / 2,
            side=side,
            body=entry["body"],
        )
        png = resvg_py.svg_to_bytes(
            svg_string=svg, width=size_px, height=size_px, skip_system_fonts=True
        )
        with Image.open(io.BytesIO(bytes(png))) as image:
            rgba = np.array(image.convert("RGBA"))
        rgba.flags.writeable = False
        return rgba


def _candidates(icon_set: str, icon: str) -> Iterator[str]:
    if icon_set == "fxemoji":
        yield FXEMOJI_NAMES.get(icon, icon.replace("-", ""))
        return
    yield icon
    if icon_set == "streamline-emojis":
        base = icon.removesuffix("-face")
        for name in (icon, base, f"{base}-face"):
            yield name
            yield from (f"{name}-{number}" for number in (1, 2, 3))
