"""Writes the tables of docs/models.md: `python -m tests.recognition.document`."""

import tempfile
from pathlib import Path

from tests.recognition import names
from tests.recognition.headers import write_header
from tests.recognition.layouts import SECTIONS
from worker.pipelines.inspect import Inspection, inspect_path

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN = "<!-- written by tests/recognition/document.py -->"


def tables(folder: Path) -> str:
    """The tables, of files that are made in `folder`."""
    lines = [BEGIN]
    alone, equipped = folder / "alone", folder / "equipped"
    alone.mkdir()
    lay_parts(equipped)
    for name, layouts in SECTIONS.items():
        lines += ["", f"### {name}", "", "| Layout | | What is said |", "|---|---|---|"]
        for layout in layouts:
            layout.write(alone / layout.name)
            found = inspect_path(alone / layout.name)
            said = outcome(found)
            if not found.usable and not found.only_repaints:
                layout.write(equipped / layout.name)
                if inspect_path(equipped / layout.name).usable:
                    said = "works with parts"
            lines.append(f"| {layout.what} | {said} | {found.sentence} |")
    return "\n".join(lines) + "\n"


def lay_parts(folder: Path) -> None:
    """What files may lack, in the folders where it is looked for."""
    for name, shapes in (
        ("vae/ae.safetensors", names.VAE_16),
        ("vae/sd3_vae.safetensors", names.VAE_16),
        ("vae/sdxl_vae.safetensors", names.VAE),
        ("vae/vae-ft-mse.safetensors", names.VAE),
        ("text_encoders/clip_l.safetensors", names.CLIP_L),
        ("text_encoders/clip_g.safetensors", names.CLIP_G),
        ("text_encoders/t5xxl_fp16.safetensors", names.T5),
    ):
        write_header(folder / name, shapes)


def outcome(found: Inspection) -> str:
    """In a word, what becomes of it."""
    if found.usable and found.family is None:
        return "a part"
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
