"""Small previews of an image while it is drawn, by a linear map from latents to RGB.

A latent pixel is close to a linear function of the colour of the patch that it stands for, so one
matrix shows what a full VAE decode would cost a hundred times more to show. The matrix is fitted
once per model by least squares on the model's own VAE: it fits models whose VAE nobody has
published numbers for, and 4 or 16 channels alike.
"""

import io
from collections.abc import Callable
from typing import Any, Final

import torch
from PIL import Image
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from worker.pipelines.copies import sent, start_fetching
from worker.pipelines.latent_scales import channel_statistics, patch_statistics

LONGEST_SIDE_PX = 128
LARGEST_BYTES = 6 * 1024
_QUALITIES = (70, 40, 15)
_SAMPLE_SIDE_PX = 128
_SAMPLES = 4

Encode = Callable[[Any, torch.Tensor], torch.Tensor]


class LatentPreview:
    """Turns latents of one model into small WebP images. Samplers that work with large sigmas
    (Euler: up to 14 times unit variance) are brought back to unit variance.
    """

    def __init__(self, matrix: torch.Tensor) -> None:
        # [channels + 1, 3] float32: last row is the bias; RGB in 0..1
        self._matrix = matrix
        self._matrix_there = matrix  # on the device of the latents

    def render(self, latents: torch.Tensor) -> bytes:
        """Return a WebP of at most 6 KB, longest side 128 px.

        `latents`: [channels, height, width], scaled as the denoiser sees them.
        """
        return self.start(latents)()

    @torch.no_grad()
    def start(self, latents: torch.Tensor) -> Callable[[], bytes]:
        """Begin what `render` does without waiting for the device.

        The result, called once by any thread, waits and returns the WebP. `latents` may change
        meanwhile: the colours are computed from them before anything that is asked of the device
        later.
        """
        height, width = latents.shape[1:]
        colours, arrived = start_fetching(self._colours(latents))

        def encode() -> bytes:
            arrived()
            return _small_webp(Image.frombytes("RGB", (width, height), colours.numpy().tobytes()))

        return encode

    def _colours(self, latents: torch.Tensor) -> torch.Tensor:
        """RGB bytes [height * width, 3] on the device of `latents`."""
        if self._matrix_there.device != latents.device:
            self._matrix_there = sent(self._matrix, latents.device)
        pixels = latents.detach().float()
        pixels = pixels / pixels.std().clamp(min=1.0)
        rgb = _with_ones(pixels.flatten(1).T) @ self._matrix_there
        return rgb.nan_to_num().clamp(0, 1).mul(255).round().to(torch.uint8)


@torch.no_grad()
def fit_preview(vae: Any) -> LatentPreview | None:
    """Return the preview of models with this VAE; None if its latents are not a plain grid.

    Encodes four smooth random colour fields of 128 px, a fraction of one image's decode.
    """
    scaled = _SCALED.get(type(vae).__name__)
    if scaled is None:
        return None
    fields = _colour_fields()
    latents = _encode(vae, fields, scaled)  # [samples, channels, h, w]
    height, width = latents.shape[2:]
    colours = torch.nn.functional.adaptive_avg_pool2d(fields, (height, width))
    inputs = _with_ones(latents.movedim(1, -1).flatten(0, 2))
    targets = colours.movedim(1, -1).flatten(0, 2)
    # gelsd: latents of a poorly trained VAE may not be independent of each other
    fitted = torch.linalg.lstsq(inputs.double(), targets.double(), rcond=1e-4, driver="gelsd")
    return LatentPreview(fitted.solution.float())


def _colour_fields() -> torch.Tensor:
    """Return [samples, 3, side, side] RGB in 0..1: 5x5 random colours, smoothly enlarged."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((_SAMPLES, 3, 5, 5), generator=generator)
    side = (_SAMPLE_SIDE_PX, _SAMPLE_SIDE_PX)
    return torch.nn.functional.interpolate(coarse, side, mode="bicubic").clamp(0, 1)


def _encode(vae: Any, fields: torch.Tensor, scaled: Encode) -> torch.Tensor:
    """Encode in float32: half precision overflows in the VAE of Stable Diffusion XL."""
    dtype = vae.dtype
    if dtype != torch.float32:
        vae.to(torch.float32)
    latents = scaled(vae, (fields * 2 - 1).to(vae.device))
    if dtype != torch.float32:
        vae.to(dtype)
    return latents.cpu()


def _by_one_factor(vae: Any, images: torch.Tensor) -> torch.Tensor:
    latents = vae.encode(images).latent_dist.mode()
    shift = getattr(vae.config, "shift_factor", None) or 0.0
    scaled: torch.Tensor = (latents - shift) * vae.config.scaling_factor
    return scaled


def _by_channel(vae: Any, images: torch.Tensor) -> torch.Tensor:
    latents = vae.encode(images[:, :, None]).latent_dist.mode()  # one frame each
    mean, inverse_deviation = (numbers.to(latents) for numbers in channel_statistics(vae))
    scaled: torch.Tensor = ((latents - mean) * inverse_deviation)[:, :, 0]
    return scaled


def _by_patch(vae: Any, images: torch.Tensor) -> torch.Tensor:
    patches = pixel_unshuffle(vae.encode(images).latent_dist.mode(), 2)
    mean, deviation = patch_statistics(vae, patches)
    return pixel_shuffle((patches - mean) / deviation, 2)


def _deterministic(vae: Any, images: torch.Tensor) -> torch.Tensor:
    latents: torch.Tensor = vae.encode(images).latent * vae.config.scaling_factor
    return latents


def _unscaled(vae: Any, images: torch.Tensor) -> torch.Tensor:
    latents: torch.Tensor = vae.encode(images).latents
    return latents


def _of_positive_colours(vae: Any, images: torch.Tensor) -> torch.Tensor:
    latents: torch.Tensor = vae.encode((images + 1) / 2).latents / vae.config.scale_factor
    return latents


# Class of the VAE -> images [samples, 3, side, side] in -1..1 as a grid of latents, scaled as the
# adapters' `grid` has them.
_SCALED: Final[dict[str, Encode]] = {
    "AutoencoderKL": _by_one_factor,
    "AutoencoderKLQwenImage": _by_channel,
    "AutoencoderKLFlux2": _by_patch,
    "AutoencoderDC": _deterministic,  # Sana
    "VQModel": _unscaled,  # Kandinsky
    "PaellaVQModel": _of_positive_colours,  # Stable Cascade
}


def _with_ones(rows: torch.Tensor) -> torch.Tensor:
    return torch.cat([rows, torch.ones(len(rows), 1, device=rows.device)], dim=1)


def _small_webp(image: Image.Image) -> bytes:
    scale = LONGEST_SIDE_PX / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    enlarged = image.resize(size, Image.Resampling.BICUBIC)
    for quality in _QUALITIES:
        file = io.BytesIO()
        enlarged.save(file, "WEBP", quality=quality, method=0)
        if file.tell() <= LARGEST_BYTES:
            break
    return file.getvalue()
