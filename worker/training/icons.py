"""The icon sets as pixels: SVG bodies from the npm packages, rendered by resvg.

Fetch the sources once, into a folder outside the repository:
`npm install @iconify-json/fluent-emoji@1.2.7 @iconify-json/fluent-emoji-flat@1.2.6
@iconify-json/noto@1.2.9 cldr-annotations-full@48.2.0`
"""

import io
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'viewBox="{left} {top} {side} {side}">{body}</svg>'
)


class MissingSource(Exception):
    """An npm package of the recipe is not where it was looked for."""


class IconLibrary:
    """Renders any icon of any of the three sets at any size, each once.

    `packages` is the `node_modules` folder that holds `@iconify-json/*`.
    """

    def __init__(self, packages: Path) -> None:
        self._packages = packages
        self._render = lru_cache(maxsize=None)(self._render_uncached)

    @lru_cache(maxsize=8)  # noqa: B019 - a library lives as long as the process that draws with it
    def icon_set(self, name: str) -> dict[str, Any]:
        """The parsed `icons.json` of one set. Raises `MissingSource` when it is not installed."""
        path = self._packages / "@iconify-json" / name / "icons.json"
        if not path.is_file():
            raise MissingSource(f"{path} is missing: install the npm package @iconify-json/{name}.")
        loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return loaded

    def render(self, icon_set: str, icon: str, size_px: int) -> NDArray[np.float32]:
        """Premultiplied RGBA of shape [size_px, size_px, 4] in 0..1; do not write to it."""
        return self._render(icon_set, icon, size_px)

    def _render_uncached(self, icon_set: str, icon: str, size_px: int) -> NDArray[np.float32]:
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
            rgba = np.asarray(image.convert("RGBA"), dtype=np.float32) / 255.0
        rgba[..., :3] *= rgba[..., 3:]
        rgba.flags.writeable = False
        return rgba
