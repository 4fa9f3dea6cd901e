"""The way of an image from the device to RGB bytes."""

import numpy as np
import pytest
import torch

from tests.pretend_cuda.device import PretendCuda
from tests.pretend_cuda.fixtures import pretend_cuda
from worker.engine.errors import BlackImage, Overflowed
from worker.pipelines.pixels import start_rendering, to_rendering

__all__ = ["pretend_cuda"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_bytes_are_rounded_on_the_device_as_diffusers_rounds_in_main_memory(
    dtype: torch.dtype,
) -> None:
    # All halves between two values lie among them, and every number that a half format knows.
    values = torch.cat([torch.arange(0, 511) / 510, torch.linspace(0, 1, 3 * 64 * 64 - 511)])
    image = values.to(dtype).view(3, 64, 64)
    in_main_memory = image.permute(1, 2, 0).float().numpy()
    rendering = start_rendering(image, decoded=image)()
    assert rendering == to_rendering(in_main_memory)
    assert len(np.unique(np.frombuffer(rendering.pixels, np.uint8))) == 256


def test_an_image_is_one_copy_that_only_its_completion_waits_for(
    pretend_cuda: PretendCuda,
) -> None:
    image = torch.full((3, 2, 4), 0.5, device="cuda")
    with pretend_cuda.counted() as waits:
        complete = start_rendering(image, decoded=image)
    assert waits == []
    image.fill_(1.0)  # the next one may be decoded into the same memory
    rendering = complete()
    assert [wait.why for wait in pretend_cuda.waits] == ["event"]
    assert (rendering.width_px, rendering.height_px) == (4, 2)
    assert rendering.pixels == bytes([128] * 24)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("overflow", [torch.nan, torch.inf, -torch.inf])
def test_what_is_no_number_is_no_image(
    pretend_cuda: PretendCuda, device: str, overflow: float
) -> None:
    decoded = torch.zeros(3, 8, 8)
    decoded[1, 2, 3] = overflow
    decoded = decoded.to(device)
    # An infinity is white or black by then, and looks like a part of the image.
    complete = start_rendering(decoded.clamp(0, 1), decoded=decoded)
    with pytest.raises(Overflowed, match="not an image"):
        complete()


@pytest.mark.parametrize("brightest", [0.0, 1 / 255])
def test_an_image_without_any_light_at_all_is_none(brightest: float) -> None:
    """A black square that a model drew scatters about black; what ran over does not."""
    image = torch.zeros(3, 64, 64)
    image[1, 2, 3] = brightest
    complete = start_rendering(image, decoded=image)
    in_main_memory = image.permute(1, 2, 0).numpy()
    if brightest:
        assert complete() == to_rendering(in_main_memory)
        return
    with pytest.raises(BlackImage, match="entirely black"):
        complete()
    with pytest.raises(BlackImage, match="entirely black"):
        to_rendering(in_main_memory)


def test_what_a_safety_checker_made_black_is_not_taken_for_a_fault() -> None:
    image = torch.zeros(3, 8, 8)
    assert start_rendering(image, decoded=image, blacked_out=True)().blacked_out
    assert to_rendering(image.permute(1, 2, 0).numpy(), blacked_out=True).blacked_out
