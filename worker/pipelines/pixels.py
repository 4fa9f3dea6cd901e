"""From what a pipeline returns to plain RGB bytes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from worker.engine.errors import EngineError


@dataclass(frozen=True, slots=True)
class Rendering:
    """A picture as it leaves the model: `pixels` are rows of RGB byte triples."""

    pixels: bytes
    width_px: int
    height_px: int
    blacked_out: bool = False


def to_pixels(picture: np.ndarray[Any, Any]) -> tuple[bytes, int, int]:
    """Return (RGB bytes, width, height) of a [height, width, 3] float array in 0..1.

    Rounds as diffusers does. Raises `EngineError` where the model overflowed: such a picture would
    come out black, and nobody should pay for it.
    """
    if not np.isfinite(picture).all():
        sentence = "The model produced numbers that are not a picture."
        raise EngineError(sentence, detail="not-a-number values; try DARKROOM_DTYPE=float32")
    height_px, width_px, _channels = picture.shape
    return (picture * 255).round().astype("uint8").tobytes(), width_px, height_px
