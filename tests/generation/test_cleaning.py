"""What an image becomes when it is uploaded: upright, opaque, in sRGB, without metadata."""

import io
import struct
import zlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image as Picture
from PIL import ImageCms
from PIL.PngImagePlugin import PngInfo

from tests.generation.refusals import refusal
from tests.people import picture_bytes
from tests.selection import examples
from webapp.pixels.cleaning import RefusedError, clean

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey_is_empty")]


def encoded(picture: Picture.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def cleaned(content: bytes, kind: str = "start") -> Picture.Image:
    clean_image = clean(io.BytesIO(content), kind=kind)
    picture = Picture.open(io.BytesIO(clean_image.png))
    assert picture.size == (clean_image.width_px, clean_image.height_px)
    return picture


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_content_counts_and_not_the_name(kind: str) -> None:
    assert cleaned(picture_bytes(kind)).size == (64, 64)


def test_a_photo_that_lies_on_its_side_is_turned_and_says_nothing_more() -> None:
    exif = Picture.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    exif[0x010F] = "a camera that has a name"
    photo = encoded(Picture.new("RGB", (40, 20), "red"), "JPEG", exif=exif)
    picture = cleaned(photo)
    assert picture.size == (20, 40)
    assert picture.info == {}
    assert b"a camera" not in encoded(picture)


def test_text_in_a_png_is_dropped() -> None:
    text = PngInfo()
    text.add_text("parameters", "a secret prompt")
    content = encoded(Picture.new("RGB", (8, 8)), pnginfo=text)
    assert b"secret" not in clean(io.BytesIO(content), kind="start").png


@pytest.mark.parametrize(
    "picture",
    [
        Picture.new("RGBA", (8, 8), (0, 0, 0, 0)),
        Picture.new("LA", (8, 8), (0, 0)),
        Picture.new("CMYK", (8, 8), (0, 0, 0, 0)),
        Picture.new("1", (8, 8), 1),
        Picture.new("I;16", (8, 8), 65535),
    ],
    ids=["RGBA", "LA", "CMYK", "1", "I;16"],
)
def test_every_kind_of_white_and_of_nothing_becomes_white(picture: Picture.Image) -> None:
    content = encoded(picture, "JPEG" if picture.mode == "CMYK" else "PNG")
    assert cleaned(content).getpixel((4, 4)) == (255, 255, 255)


def test_a_transparent_colour_of_a_palette_becomes_white() -> None:
    picture = Picture.new("RGB", (8, 8), (10, 200, 30)).quantize()
    assert cleaned(encoded(picture, transparency=0)).getpixel((4, 4)) == (255, 255, 255)


def png_of(depth: int, samples: list[int], transparent: list[int]) -> bytes:
    """A PNG of one line, grey or RGB, whose tRNS names a colour in the file's own samples."""
    kind = 2 if len(transparent) == 3 else 0
    bits = "".join(format(one, f"0{depth}b") for one in samples)
    bits += "0" * (-len(bits) % 8)
    line = b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    facts = (len(samples) // len(transparent), 1, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in (
            (b"IHDR", struct.pack(">IIBBBBB", *facts)),
            (b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)),
            (b"IDAT", zlib.compress(line)),
            (b"IEND", b""),
        )
    )


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("is_light", [True, False])
def test_the_transparent_grey_of_every_depth_becomes_white_and_no_other(
    depth: int, is_light: bool
) -> None:
    light = 2**depth - 1
    transparent, other = (light, 0) if is_light else (0, light)
    picture = cleaned(png_of(depth, [transparent, other] * 4, [transparent]))
    shown = (255, 255, 255) if other else (0, 0, 0)
    assert [picture.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), shown]


def test_a_grey_of_16_bits_that_is_nearly_the_transparent_one_is_kept() -> None:
    picture = cleaned(png_of(16, [40_000, 40_001] * 4, [40_000]))
    assert [picture.getpixel((x, 0)) for x in (0, 1)] == [(255,) * 3, (155,) * 3]


@pytest.mark.parametrize("depth", [8, 16])
def test_the_transparent_colour_of_every_depth_becomes_white_and_no_other(depth: int) -> None:
    light = 2**depth - 1
    picture = cleaned(png_of(depth, [light, 0, 0, 0, 0, light] * 4, [light, 0, 0]))
    assert [picture.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 0, 255)]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_mask_of_white_strokes_on_nothing_is_white_where_the_strokes_are(mode: str) -> None:
    strokes = Picture.new("RGBA", (64, 64), (255, 255, 255, 0))
    strokes.paste((255, 255, 255, 255), (0, 0, 32, 64))
    mask = cleaned(encoded(strokes.convert(mode)), kind="mask")
    assert [mask.getpixel((x, 8)) for x in (8, 56)] == [255, 0]


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def odd_profile() -> bytes:
    """A screen whose red is sRGB's blue, and the other way round."""
    return (
        srgb_profile().replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    )


@pytest.mark.parametrize(
    ("profile", "expected"),
    [(srgb_profile(), "red"), (odd_profile(), "blue"), (b"this is no profile", "red")],
    ids=["srgb", "odd", "damaged"],
)
def test_colours_are_brought_to_srgb(profile: bytes, expected: str) -> None:
    picture = cleaned(encoded(Picture.new("RGB", (8, 8), "red"), icc_profile=profile))
    wanted = Picture.new("RGB", (1, 1), expected).getpixel((0, 0))
    got = picture.getpixel((4, 4))
    assert isinstance(wanted, tuple)
    assert isinstance(got, tuple)
    assert max(abs(one - other) for one, other in zip(got, wanted, strict=True)) <= 2


def test_the_longest_side_is_2048_at_most() -> None:
    assert cleaned(encoded(Picture.new("RGB", (4096, 1000)))).size == (2048, 500)


def test_a_mask_is_grey_and_keeps_its_greys() -> None:
    mask = cleaned(encoded(Picture.linear_gradient("L")), kind="mask")
    assert mask.mode == "L"
    assert mask.getpixel((0, 100)) == 100


def test_an_empty_mask_is_refused() -> None:
    assert "empty" in refusal(encoded(Picture.new("L", (64, 64), 20)), kind="mask")


@hypothesis_settings(max_examples=examples(60))
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP"]),
    place=st.floats(0, 1, exclude_max=True),
    damage=st.binary(min_size=1, max_size=16),
)
@pytest.mark.filterwarnings("ignore")  # Pillow grumbles about what it reads all the same
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    kind: str, place: float, damage: bytes
) -> None:
    content = picture_bytes(kind, 16)
    at = int(place * len(content))
    damaged = content[:at] + damage + content[at + len(damage) :]
    with suppress(RefusedError):
        cleaned(damaged)
