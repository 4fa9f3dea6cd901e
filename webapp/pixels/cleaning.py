"""Images that strangers upload: looked at before they are decoded, and encoded anew.

What comes out holds pixels and nothing else: upright, without transparency, in sRGB.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import IO

from PIL import Image, ImageCms, ImageMath, ImageOps

MEGAPIXEL = 1_000_000
MAX_PIXELS = 25 * MEGAPIXEL
LONGEST_SIDE_PX = 2048
THUMBNAIL_SIDE_PX = 256
FORMATS = ("PNG", "JPEG", "WEBP")
REPAINTED = 128  # a mask's grey from which a pixel is redrawn
MASK = "mask"
PNG_COMPRESS_LEVEL = 3
BAND_PX = 256
# The greatest sample of a PNG by the end of its raw mode, if tRNS is not in 8 bits.
GREATEST_SAMPLE = {"1": 1, "L;2": 3, "L;4": 15, "RGB;16B": 65_535}
# What Pillow's decoders raise for damaged files, beside their own OSError.
DAMAGED = (
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
TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError)


class RefusedError(Exception):
    """The image will not do; `code` is "unreadable", "too_many_pixels" or "empty_mask"."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Clean:
    """A PNG of our own making, RGB for a start image, grey for a mask; and a small copy."""

    png: bytes
    thumbnail_webp: bytes
    width_px: int
    height_px: int


def clean(file: IO[bytes], *, kind: str) -> Clean:
    """The image upright, opaque, in sRGB, at most 2048 px long, without metadata: a start image on
    white, a mask on black, since what is transparent was not painted.

    Raises RefusedError for what is not a PNG, JPEG or WebP by its content, for more than 25
    megapixels (by the header, before anything is decoded), for a damaged file, and for a mask
    without anything to redraw.
    """
    is_mask = kind == MASK
    try:
        with Image.open(file, formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise RefusedError("too_many_pixels")
            image = _flatten(ImageOps.exif_transpose(_shrunk(opened)), is_mask=is_mask)
    except TOO_LARGE as error:
        raise RefusedError("too_many_pixels") from error
    except DAMAGED as error:
        raise RefusedError("unreadable") from error
    return _encode(_mask(image) if is_mask else image)


def _shrunk(opened: Image.Image) -> Image.Image:
    """At most 2048 px long, in a mode that can be resized and turned; what Pillow knows of the
    file stays with it."""
    if opened.format == "JPEG":  # decoded at a half or less of its size, if that is enough
        opened.draft(None, (LONGEST_SIDE_PX, LONGEST_SIDE_PX))
    image = _plain(opened)
    image.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return image


def _plain(opened: Image.Image) -> Image.Image:
    """Palettes and single bits cannot be resized smoothly; 16 bits a channel are more than is
    kept."""
    if opened.mode.startswith("I"):
        return _eight_bits(opened)
    if opened.has_transparency_data:
        _scale_transparency(opened)
        return opened if opened.mode == "RGBA" else opened.convert("RGBA")
    return opened if opened.mode in {"L", "RGB", "CMYK"} else opened.convert("RGB")


def _eight_bits(opened: Image.Image) -> Image.Image:
    """Grey of 16 bits as 8 bits, with the one grey that tRNS makes transparent taken out first: in
    8 bits it would be many. A band at a time: as whole numbers all of it takes four times the room.
    """
    transparent = opened.info.get("transparency")
    grey, opaque = Image.new("L", opened.size), Image.new("L", opened.size, "white")
    for top in range(0, opened.height, BAND_PX):
        bottom = min(top + BAND_PX, opened.height)
        band = opened.crop((0, top, opened.width, bottom)).convert("I")
        grey.paste(band.point(lambda value: value * (1 / 257)).convert("L"), (0, top))
        if transparent is not None:
            opaque.paste(_differing(band, transparent), (0, top))
    eight = grey if transparent is None else Image.merge("RGBA", (grey, grey, grey, opaque))
    eight.info = {name: value for name, value in opened.info.items() if name != "transparency"}
    return eight


def _differing(band: Image.Image, grey: int) -> Image.Image:
    """White if the band has another grey."""
    differing = ImageMath.lambda_eval(
        lambda given: given["convert"]((given["band"] != grey) * 255, "L"), band=band
    )
    assert isinstance(differing, Image.Image)  # noqa: S101 - what convert gives
    return differing


def _scale_transparency(opened: Image.Image) -> None:
    """tRNS names a colour in the file's own samples; Pillow compares it with those of 8 bits."""
    tiles = getattr(opened, "tile", []) if opened.format == "PNG" else []
    raw_mode = str(tiles[0].args) if tiles else ""
    greatest, found = GREATEST_SAMPLE.get(raw_mode), opened.info.get("transparency")
    if greatest is None or found is None:
        return
    scaled = [sample * 255 // greatest for sample in (found if _is_many(found) else [found])]
    opened.info["transparency"] = tuple(scaled) if _is_many(found) else scaled[0]


def _is_many(found: object) -> bool:
    return isinstance(found, tuple)


def _flatten(image: Image.Image, *, is_mask: bool) -> Image.Image:
    """RGB on white, a mask on black, in sRGB."""
    profile = image.info.get("icc_profile")
    if image.mode == "RGBA":
        opaque = Image.new("RGB", image.size, "black" if is_mask else "white")
        opaque.paste(image, mask=image.getchannel("A"))
        image = opaque
    if profile and image.mode in {"RGB", "CMYK"}:
        return _to_srgb(image, profile)
    return image.convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Phones write other colour spaces: without their profile the colours would be others."""
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError):  # a profile that is none: shown as it is, as browsers do
        return image.convert("RGB")
    assert converted is not None  # noqa: S101 - only `inPlace` gives none
    return converted


def _mask(image: Image.Image) -> Image.Image:
    mask = image.convert("L")
    if mask.getextrema()[1] < REPAINTED:  # type: ignore[operator]
        raise RefusedError("empty_mask")
    return mask


def _encode(image: Image.Image) -> Clean:
    png, webp = io.BytesIO(), io.BytesIO()
    bare = Image.frombytes(image.mode, image.size, image.tobytes())
    bare.save(png, "PNG", compress_level=PNG_COMPRESS_LEVEL)
    bare.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX), Image.Resampling.LANCZOS)
    bare.save(webp, "WEBP", quality=80)
    return Clean(png.getvalue(), webp.getvalue(), image.width, image.height)
