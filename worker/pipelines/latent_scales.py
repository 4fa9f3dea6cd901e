"""How VAEs scale their latents for the denoiser, of those that do it for each channel."""

from typing import Any

import torch
from torch import Tensor


def channel_statistics(vae: Any) -> tuple[Tensor, Tensor]:
    """Mean and inverse deviation of each channel [1, channels, 1, 1, 1], float32 on the CPU, of a
    VAE of videos (`AutoencoderKLQwenImage`)."""
    shape = (1, vae.config.z_dim, 1, 1, 1)
    mean = torch.tensor(vae.config.latents_mean).view(shape)
    return mean, 1.0 / torch.tensor(vae.config.latents_std).view(shape)


def patch_statistics(vae: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation [1, channels * 4, 1, 1] of patches of 2x2 latents (`AutoencoderKLFlux2`),
    in format and on the device of `like`."""
    shape = (1, -1, 1, 1)
    deviation = torch.sqrt(vae.bn.running_var.view(shape) + vae.config.batch_norm_eps)
    return vae.bn.running_mean.view(shape).to(like), deviation.to(like)
