"""The forward process, drawn: one image with more and more noise in it, side by side.

x_t = signal * x_0 + noise * e (Ho et al. 2020, equation 4), with the same noise e in every frame.
Models do that to latents; here the pixels are noised, in -1 to 1, to show what it looks like.
"""

import io
import random
from array import array
from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageMath

QUALITY = 50
SEED = 1
CHANNELS = 3
FORMATS = ("PNG", "WEBP")


def draw_noising(image: bytes, strip: bytes, levels: Sequence[tuple[float, float]]) -> bytes:
    """A WebP with a frame for each level, a pair of signal and noise, left to right, as large as
    those of the strip. The same arguments give the same bytes."""
    strip_width, height = Image.open(io.BytesIO(strip), formats=FORMATS).size
    size = width, _height = strip_width // len(levels), height
    opened = Image.open(io.BytesIO(image), formats=FORMATS)
    small = opened.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    sheet = Image.new("RGB", (width * len(levels), height))
    for place, level in enumerate(levels):
        channels = [
            _mixed(channel, noise, *level)
            for channel, noise in zip(small.split(), _noise(size), strict=True)
        ]
        sheet.paste(Image.merge("RGB", channels), (place * width, 0))
    file = io.BytesIO()
    sheet.save(file, "WEBP", quality=QUALITY, method=2)
    return file.getvalue()


def _mixed(channel: Image.Image, noise: Image.Image, signal: float, share: float) -> Image.Image:
    """Values beyond black and white are cut off: a screen shows no more."""
    mixed = ImageMath.lambda_eval(
        lambda given: given["convert"](
            ((given["x"] / 127.5 - 1.0) * signal + given["e"] * share) * 127.5 + 128.0,
            "L",
        ),
        x=channel.convert("F"),
        e=noise,
    )
    assert isinstance(mixed, Image.Image)  # noqa: S101 - what convert gives
    return mixed


@lru_cache(maxsize=8)
def _noise(size: tuple[int, int]) -> tuple[Image.Image, ...]:
    """Unit noise, one image of it a channel."""
    draws = random.Random(SEED)  # noqa: S311 - an image, no secret
    count = size[0] * size[1]
    return tuple(
        Image.frombytes("F", size, array("f", (draws.gauss() for _pixel in range(count))).tobytes())
        for _channel in range(CHANNELS)
    )
