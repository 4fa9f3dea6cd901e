"""Pictures that strangers hand in: looked at before they are decoded, and encoded anew.

What comes out holds pixels and nothing else: upright, without transparency, in sRGB.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import IO, Any, cast

from django.core.files.base import File
from django.utils.translation import gettext as _
from PIL import Image, ImageCms, ImageOps

from webapp.core.errors import InvalidInput
from webapp.generation.models import Upload

MEGABYTE, MEGAPIXEL = 1024 * 1024, 1_000_000
MAX_BYTES = 20 * MEGABYTE
MAX_PIXELS = 25 * MEGAPIXEL
LONGEST_SIDE_PX = 2048
THUMBNAIL_SIDE_PX = 256
FORMATS = ("PNG", "JPEG", "WEBP")
REPAINTED = 128  # a mask's grey from which a pixel is drawn anew
_WHITE = (255, 255, 255)
_PNG_COMPRESS_LEVEL = 3
# What Pillow's decoders raise for damaged files, beside their own OSError.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    ArithmeticError,
    struct.error,
    zlib.error,
)
_TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)


@dataclass(frozen=True, slots=True)
class CleanPicture:
    """A PNG of our own making, RGB for a start picture, grey for a mask; and a small copy."""

    png: bytes
    thumbnail_webp: bytes
    width_px: int
    height_px: int


def clean_picture(file: "File[Any]", *, size_bytes: int, kind: str) -> CleanPicture:
    """The picture upright, opaque on white, in sRGB, at most 2048 px long, without metadata.

    Raises InvalidInput (`file`) for what is not a PNG, JPEG or WebP by its content, for more than
    20 MB or 25 megapixels (by the header, before anything is decoded), for a damaged file, and for
    a mask without anything to repaint.
    """
    if size_bytes > MAX_BYTES:
        sentence = _("The file has %(size).1f MB; at most %(most)d MB are allowed.")
        facts = {"size": size_bytes / MEGABYTE, "most": MAX_BYTES // MEGABYTE}
        raise InvalidInput(sentence % facts, field="file")
    try:
        with Image.open(cast("IO[bytes]", file), formats=FORMATS) as opened:
            _check_pixels(opened)
            picture = _flatten(_upright(_shrunk(opened)))
    except _TOO_LARGE as error:
        raise _too_many_pixels() from error
    except _DAMAGED as error:
        sentence = _("This is not a picture that can be read: hand in a PNG, JPEG or WebP file.")
        raise InvalidInput(sentence, field="file") from error
    return _encode(_mask(picture) if kind == Upload.Kind.MASK else picture)


def _check_pixels(picture: Image.Image) -> None:
    if picture.width * picture.height > MAX_PIXELS:
        raise _too_many_pixels()


def _too_many_pixels() -> InvalidInput:
    sentence = _("The picture is too large: at most %(most)d megapixels are allowed.")
    return InvalidInput(sentence % {"most": MAX_PIXELS // MEGAPIXEL}, field="file")


def _shrunk(opened: Image.Image) -> Image.Image:
    """At most 2048 px long, in a mode that can be resized and turned; what Pillow knows of the
    file stays with it."""
    picture = _plain(opened)
    picture.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX), Image.Resampling.LANCZOS)
    return picture


def _plain(opened: Image.Image) -> Image.Image:
    """Palettes and single bits cannot be resized smoothly; 16 bits a channel are more than is
    kept."""
    if opened.mode.startswith("I"):
        return opened.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if opened.has_transparency_data:
        return opened.convert("RGBA")
    return opened if opened.mode in {"L", "RGB", "CMYK"} else opened.convert("RGB")


def _upright(picture: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(picture)


def _flatten(picture: Image.Image) -> Image.Image:
    """RGB on white, in sRGB."""
    profile = picture.info.get("icc_profile")
    if picture.mode == "RGBA":
        opaque = Image.new("RGB", picture.size, _WHITE)
        opaque.paste(picture, mask=picture.getchannel("A"))
        picture = opaque
    if profile and picture.mode in {"RGB", "CMYK"}:
        return _to_srgb(picture, profile)
    return picture.convert("RGB")


def _to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Phones write other colour spaces: without their profile the colours would be others."""
    try:
        converted = ImageCms.profileToProfile(
            picture,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError):  # a profile that is none: shown as it is, as browsers do
        return picture.convert("RGB")
    assert converted is not None  # noqa: S101 - only `inPlace` gives none
    return converted


def _mask(picture: Image.Image) -> Image.Image:
    mask = picture.convert("L")
    if mask.getextrema()[1] < REPAINTED:  # type: ignore[operator]
        sentence = _("The mask is empty: paint over what is to be drawn anew.")
        raise InvalidInput(sentence, field="file")
    return mask


def _encode(picture: Image.Image) -> CleanPicture:
    png, webp = io.BytesIO(), io.BytesIO()
    bare = Image.frombytes(picture.mode, picture.size, picture.tobytes())
    bare.save(png, "PNG", compress_level=_PNG_COMPRESS_LEVEL)
    bare.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX), Image.Resampling.LANCZOS)
    bare.save(webp, "WEBP", quality=80)
    return CleanPicture(png.getvalue(), webp.getvalue(), picture.width, picture.height)
