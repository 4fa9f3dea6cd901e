"""A picture as a file to keep: in another format, with or without what made it."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from PIL import Image as Picture

from webapp.core.errors import InvalidInput, NotFound
from webapp.generation.models import Image
from webapp.generation.storage import read_file

# Where programs look for the parameters of a JPEG or WebP: EXIF's UserComment.
EXIF_FOLDER, USER_COMMENT = 0x8769, 0x9286
QUALITY = 92


@dataclass(frozen=True, slots=True)
class Format:
    """A format on offer."""

    suffix: str
    content_type: str
    save: Callable[[Picture.Image, str], bytes]


def encode(image: Image, *, name: str, with_metadata: bool) -> tuple[bytes, Format]:
    """The picture's bytes in that format. A PNG with its metadata is the file as it was stored.

    Raises InvalidInput for a format that is not on offer, NotFound where the file is gone.
    """
    if name not in FORMATS:
        sentence = _("A picture can be had as: %(allowed)s.") % {"allowed": ", ".join(FORMATS)}
        raise InvalidInput(sentence, field="format")
    form, stored = FORMATS[name], read_picture(image)
    if name == "png" and with_metadata:
        return stored, form
    with Picture.open(io.BytesIO(stored)) as picture:
        parameters = str(picture.info.get("parameters", "")) if with_metadata else ""
        return form.save(picture.convert("RGB"), parameters), form


def read_picture(image: Image) -> bytes:
    """The file as it was stored; raises NotFound where it is gone."""
    try:
        body = read_file(image.file) if image.file else None
    except FileNotFoundError:
        body = None
    if body is None:
        raise NotFound(_("There is no picture here, or not any more."))
    return body


def _save_png(picture: Picture.Image, _parameters: str) -> bytes:
    return _save(picture, "PNG")


def _save_jpeg(picture: Picture.Image, parameters: str) -> bytes:
    return _save(picture, "JPEG", quality=QUALITY, subsampling=0, exif=_exif(parameters))


def _save_webp(picture: Picture.Image, parameters: str) -> bytes:
    return _save(picture, "WEBP", quality=QUALITY, exif=_exif(parameters))


def _save(picture: Picture.Image, kind: str, **options: Any) -> bytes:
    picture.info.clear()
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _exif(parameters: str) -> bytes:
    """The parameters as A1111 writes them; b"" for none."""
    if not parameters:
        return b""
    exif = Picture.Exif()
    exif.get_ifd(EXIF_FOLDER)[USER_COMMENT] = b"UNICODE\0" + parameters.encode("utf-16-be")
    return bytes(exif.tobytes())


FORMATS = {
    "png": Format("png", "image/png", _save_png),
    "jpeg": Format("jpg", "image/jpeg", _save_jpeg),
    "webp": Format("webp", "image/webp", _save_webp),
}
