"""Icon packages drawn by the test itself: real SVG and CLDR files, one shape per thing."""

import colorsys
import json
from pathlib import Path
from typing import Any

import pytest

from worker.training.concepts import STYLES
from worker.training.icons import IconLibrary
from worker.training.scenes import Stage
from worker.training.things import all_things

SETS = sorted({style.icon_set for style in STYLES})
ICONS = sorted({icon for thing in all_things() for icon in thing.icons})

SHAPES = (
    '<circle cx="16" cy="16" r="12" fill="{}"/>',
    '<rect x="5" y="5" width="22" height="22" fill="{}"/>',
    '<path d="M16 3 L29 28 L3 28 Z" fill="{}"/>',
)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `node_modules` folder with the files that the recipe reads."""
    root = tmp_path_factory.mktemp("node_modules")
    for icon_set in SETS:
        write(root / "@iconify-json" / icon_set / "icons.json", icons_of(icon_set))
    characters = {f"{0xE000 + i:x}": icon for i, icon in enumerate(ICONS)}
    write(root / "@iconify-json" / "fluent-emoji-flat" / "chars.json", characters)
    for locale, word in (("en", "thing"), ("ko", "물건")):
        names = {
            chr(0xE000 + i): {"default": [word, f"{word}-{i}"], "tts": [f"{word} {i}"]}
            for i in range(len(ICONS))
        }
        folder = root / "cldr-annotations-full" / "annotations" / locale
        write(folder / "annotations.json", {"annotations": {"annotations": names}})
    return root


@pytest.fixture(scope="session")
def stage(packages: Path) -> Stage:
    """All things of the recipe, drawn as these shapes."""
    return Stage(IconLibrary(packages), icon_px=64)


def icons_of(icon_set: str) -> dict[str, Any]:
    """Every icon as one shape: the set chooses the shape, the icon the hue."""
    shape = SHAPES[SETS.index(icon_set) % len(SHAPES)]
    icons = {}
    for index, icon in enumerate(ICONS):
        red, green, blue = colorsys.hsv_to_rgb(index * 0.618 % 1.0, 0.8, 0.8)
        fill = f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
        icons[icon] = {"body": shape.format(fill)}
    return {"icons": icons, "width": 32, "height": 32}


def write(path: Path, content: dict[str, Any]) -> None:
    """`content` as JSON at `path`, folders made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")
