"""The icon sets as pixels: SVG bodies from the npm packages, rendered by resvg.

The packages, their versions and licences stand in `worker/starter/MODEL_CARD.md`; install them
once, into a folder outside the repository.
"""

import io
import json
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

    def find(self, icon_set: str, icon: str) -> str | None:
        """What `icon_set` calls `icon`; None where it has no such icon."""
        source = self.icon_set(icon_set)
        parents = {name: alias["parent"] for name, alias in source.get("aliases", {}).items()}
        name: str = parents.get(icon, icon)
        return name if name in source["icons"] else None

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
