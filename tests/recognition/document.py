"""Writes the tables of docs/models.md: `python -m tests.recognition.document`."""

import tempfile
from pathlib import Path

from tests.recognition.layouts import SECTIONS
from worker.pipelines.inspect import Inspection, inspect_path

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN = "<!-- written by tests/recognition/document.py -->"


def tables(folder: Path) -> str:
    """The tables, of files that are made in `folder`."""
    lines = [BEGIN]
    for name, layouts in SECTIONS.items():
        lines += ["", f"### {name}", "", "| Layout | | What is said |", "|---|---|---|"]
        for layout in layouts:
            layout.write(folder / layout.name)
            found = inspect_path(folder / layout.name)
            lines.append(f"| {layout.what} | {outcome(found)} | {found.sentence} |")
    return "\n".join(lines) + "\n"


def outcome(found: Inspection) -> str:
    """In a word, what becomes of it."""
    if found.only_repaints:
        return "inpaints"
    return "works" if found.usable else "refused"


def written(folder: Path) -> str:
    """The document with its tables as they are now."""
    before, _, _ = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    return before + tables(folder)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        DOCUMENT.write_text(written(Path(made)), encoding="utf-8")
