"""A stored image in another format, with or without the text that made it."""

import io
import struct
from typing import Any

from PIL import Image

QUALITY = 92
# EXIF's UserComment, where programs look for the parameters of a JPEG or WebP. Its type is
# UNDEFINED: Pillow writes bytes as BYTE, which stricter readers refuse.
EXIF_FOLDER, USER_COMMENT = 0x8769, 0x9286
LONG, UNDEFINED = 4, 7
HEADER = b"MM\0*" + struct.pack(">L", 8)
ENTRIES_AT, TEXT_AT = 26, 44


def encode(stored: bytes, *, name: str, with_metadata: bool) -> bytes:
    """The stored PNG as "png", "jpeg" or "webp"; a PNG never carries the text on this way."""
    with Image.open(io.BytesIO(stored), formats=("PNG",)) as opened:
        parameters = str(opened.info.get("parameters", "")) if with_metadata else ""
        image = opened.convert("RGB")
    image.info.clear()
    options: dict[str, Any] = {}
    if name != "png":
        options = {"quality": QUALITY, "exif": write_exif(parameters)}
    if name == "jpeg":
        options["subsampling"] = 0
    file = io.BytesIO()
    image.save(file, name.upper(), **options)
    return file.getvalue()


def write_exif(text: str) -> bytes:
    """An EXIF block whose UserComment is the text, as A1111 writes it; b"" for none."""
    if not text:
        return b""
    comment = b"UNICODE\0" + text.encode("utf-16-be")
    folder = _entry(EXIF_FOLDER, LONG, 1, ENTRIES_AT)
    return (
        b"Exif\0\0"
        + HEADER
        + folder
        + _entry(USER_COMMENT, UNDEFINED, len(comment), TEXT_AT)
        + comment
    )


def _entry(tag: int, kind: int, count: int, value: int) -> bytes:
    """A folder with this one entry, and no folder behind it."""
    return struct.pack(">HHHLLL", 1, tag, kind, count, value, 0)
