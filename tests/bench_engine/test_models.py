"""The full-size models: built without memory, and of exactly the published sizes."""

from typing import Any

from tests.bench.engine.models import sd15, sdxl

# As counted in the published checkpoints.
VAE = 83_653_863
CLIP_L = 123_060_480
SD15_UNET = 859_520_964
SDXL_UNET = 2_567_463_684
CLIP_BIG_G = 694_659_840


def parameters(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_sd15_is_of_the_published_size() -> None:
    pipe = sd15("meta")

    assert parameters(pipe.unet) == SD15_UNET
    assert parameters(pipe.vae) == VAE
    assert parameters(pipe.text_encoder) == CLIP_L
    assert pipe.unet.dtype.itemsize == 2
    assert pipe.vae_scale_factor == 8


def test_sdxl_is_of_the_published_size() -> None:
    pipe = sdxl("meta")

    assert parameters(pipe.unet) == SDXL_UNET
    assert parameters(pipe.vae) == VAE
    assert parameters(pipe.text_encoder) == CLIP_L
    assert parameters(pipe.text_encoder_2) == CLIP_BIG_G
    assert pipe.text_encoder_2.dtype.itemsize == 2
