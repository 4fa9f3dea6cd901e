"""The images that a request brings along, read and cut to the size that the engine takes."""

import io
import logging
from typing import Any

from PIL import Image, ImageOps

from webapp.generation.queueing.claims import Claim
from webapp.generation.storage import StorageAway, read_file
from worker.engine.errors import EngineError, InvalidRequest
from worker.engine.request import UPSCALE, Mask, StartImage

logger = logging.getLogger(__name__)


class StartImageLost(InvalidRequest):
    """An image that the request brought along can't be read any more."""

    code = "start_picture_lost"
    default_sentence = "The start image or its mask no longer exists. Add it again."


class StorageFailed(EngineError):
    """The storage did not give an image that the request brought along, for as long as anybody
    waits; nothing is wrong with the request or its model."""

    code = "storage_failed"
    default_sentence = "The studio's storage did not answer. Ask for the image again later."


def read_start_images(claim: Claim) -> dict[str, Any]:
    """The arguments `start` and `mask` of the claim's `ImageRequest`; empty for text to image.
    Raises StartImageLost, and StorageAway if nobody can say.

    Start image and mask cover the size asked for and are cropped around their middle, both in
    the same way; upscaling begins at half the size.
    """
    asked = claim.asked
    if asked.mode == "text":
        return {}
    shrink = UPSCALE if asked.mode == "upscale" else 1
    size = (asked.width_px // shrink, asked.height_px // shrink)
    start = _read(claim.start_file, "RGB", size)
    mask = _read(claim.mask_file, "L", size).tobytes() if claim.mask_file else None
    return {
        "start": StartImage(start.tobytes(), *size),
        "mask": Mask(mask, *size) if mask else None,
    }


def _read(name: str, mode: str, size: tuple[int, int]) -> Image.Image:
    try:
        with Image.open(io.BytesIO(read_file(name))) as image:
            return ImageOps.fit(image.convert(mode), size, Image.Resampling.LANCZOS)
    except StorageAway:  # whether it is gone, nobody knows
        raise
    except OSError as error:
        logger.warning("%s can't be read: %s", name, error)
        raise StartImageLost(detail=str(error)) from error
