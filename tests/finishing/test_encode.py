"""A finished image is a PNG that says what it was made with, and a small WebP."""

import hashlib
import io

import pytest
from PIL import Image

from worker.engine.request import RenderedImage, Timings
from worker.finishing.encode import FinishedImage, finish


def rendered(width_px: int, height_px: int) -> RenderedImage:
    pixels = bytes((x * 7 + y * 3 + c) % 256 for y in range(height_px) for x in range(width_px)
                   for c in range(3))  # fmt: skip
    return RenderedImage("one", pixels, width_px, height_px, Timings(), {})


def opened(png: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(png))
    picture.load()
    return picture


def chunk_names(png: bytes) -> set[bytes]:
    return {name for name in (b"tEXt", b"iTXt", b"zTXt") if name in png}


def thumbnail_size(finished: FinishedImage) -> tuple[int, int]:
    thumbnail = Image.open(io.BytesIO(finished.thumbnail_webp))
    assert thumbnail.format == "WEBP"
    return thumbnail.size


def test_the_png_holds_every_pixel_and_its_hash_is_of_its_bytes() -> None:
    image = rendered(40, 24)
    finished = finish(image, parameters="a cat")
    assert opened(finished.png).tobytes() == image.pixels
    assert finished.sha256_hex == hashlib.sha256(finished.png).hexdigest()
    assert (finished.width_px, finished.height_px) == (40, 24)


@pytest.mark.parametrize(
    ("text", "chunk"),
    [
        ("a cat, café\nSteps: 20", b"tEXt"),
        ("노란 배경의 고양이, 수채화\nNegative prompt: 흐림\nSteps: 20", b"iTXt"),
    ],
)
def test_the_png_carries_its_parameters_in_the_chunk_that_can_hold_them(
    text: str, chunk: bytes
) -> None:
    png = finish(rendered(16, 16), parameters=text).png
    assert opened(png).info["parameters"] == text
    assert chunk_names(png) == {chunk}


@pytest.mark.parametrize(
    ("size", "expected"),
    [((768, 512), (384, 256)), ((100, 800), (48, 384)), ((128, 128), (128, 128))],
)
def test_the_thumbnails_longest_side_is_384_px_and_small_pictures_stay_small(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert thumbnail_size(finish(rendered(*size), parameters="")) == expected


def test_the_thumbnail_carries_no_prompt() -> None:
    assert b"secret" not in finish(rendered(64, 64), parameters="secret").thumbnail_webp


def test_pixels_that_do_not_fit_the_size_are_refused() -> None:
    broken = RenderedImage("one", b"\0" * 10, 16, 16, Timings(), {})
    with pytest.raises(ValueError, match="not enough image data"):
        finish(broken, parameters="")
