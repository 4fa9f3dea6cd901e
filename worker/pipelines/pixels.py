"""From what a model returns to plain RGB bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worker.engine.errors import BlackImage
from worker.pipelines.copies import start_fetching
from worker.pipelines.watching import overflowed


@dataclass(frozen=True, slots=True)
class Rendering:
    """An image as it leaves the model: `pixels` are rows of RGB byte triples."""

    pixels: bytes
    width_px: int
    height_px: int
    blacked_out: bool = False


Numbers = np.ndarray[Any, Any]
Arriving = Callable[[], Rendering]


def start_rendering(image: Tensor, *, decoded: Tensor, blacked_out: bool = False) -> Arriving:
    """Begin to bring an image [3, height, width] in 0..1 to main memory, as RGB bytes.

    `decoded` is what the VAE made of it: an infinity there is no longer to be seen in 0..1.
    Rounded on its device, as diffusers rounds in main memory. Returns without waiting; the result,
    called once by any thread, waits. It raises `Overflowed` if the model did, and `BlackImage` if
    all is black, unless somebody `blacked_out` the image.
    """
    exact = image.permute(1, 2, 0).float()
    rgb = (exact * 255).round().to(torch.uint8)
    is_finite = decoded.isfinite().all().to(torch.uint8)
    height_px, width_px, _channels = rgb.shape
    arriving, arrived = start_fetching(torch.cat([rgb.flatten(), is_finite.view(1)]))

    def complete() -> Rendering:
        arrived()
        numbers = arriving.numpy()
        _check_finite(bool(numbers[-1]))
        if not blacked_out:
            _check_seen(numbers[:-1])
        return Rendering(numbers[:-1].tobytes(), width_px, height_px, blacked_out)

    return complete


def to_rendering(image: Numbers, *, blacked_out: bool = False) -> Rendering:
    """The image of a [height, width, 3] float array in 0..1, rounded as diffusers does.

    Raises `Overflowed` if the model did: such an image would come out black, and nobody should pay
    for it. Raises `BlackImage` if it did come out black, unless somebody `blacked_out` it.
    """
    _check_finite(bool(np.isfinite(image).all()))
    height_px, width_px, _channels = image.shape
    rgb = (image * 255).round().astype("uint8")
    if not blacked_out:
        _check_seen(rgb)
    return Rendering(rgb.tobytes(), width_px, height_px, blacked_out)


def _check_finite(is_finite: bool) -> None:
    if not is_finite:
        raise overflowed()


def _check_seen(rgb: Numbers) -> None:
    if not rgb.any():
        raise BlackImage(detail="every byte is 0; try DARKROOM_DTYPE=float32")
