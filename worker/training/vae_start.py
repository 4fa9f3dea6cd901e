"""Starts a VAE as an 8x8 average on the way down and a repetition on the way up.

From random weights a small VAE spends its first thousand steps on learning that colours exist.
Here the first twelve channels of every layer carry the picture straight through, four per colour:
`+c` and `-c`, which SiLU lets pass (silu(x) - silu(-x) = x), and the constants `+K` and `-K`,
which dominate the group's variance so that GroupNorm divides by nearly the same number every time.
All of it stays trainable. Measured: 20.6 dB before the first step.
"""

from typing import Final

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

CARRIED: Final = 12
STEADY: Final = 6.0  # K
COLOUR_VARIANCE: Final = 0.35  # of a colour channel in -1..1, over the training pictures
NARROW: Final = -5.0  # log variance of the first posteriors: at 0 the noise drowns the message


@torch.no_grad()
def start_near_linear(vae: AutoencoderKL) -> None:
    """Overwrites the initial weights of `vae` in place; its top layer needs 16 channels or more."""
    for half in (vae.encoder, vae.decoder):
        _spread(half.conv_in)
        _gather(half.conv_norm_out, half.conv_out)
        for name, layer in half.named_modules():
            if name.endswith("conv2"):
                layer.weight.mul_(0.1)
                layer.weight[:CARRIED] = 0.0
                layer.bias.zero_()
            elif name.endswith(("conv_shortcut", "upsamplers.0.conv")):
                _carry(layer, averaging=False)
            elif name.endswith("downsamplers.0.conv"):
                _carry(layer, averaging=True)
    for mixing in (vae.quant_conv, vae.post_quant_conv):
        mixing.weight.mul_(0.1)
        mixing.weight[:3] = 0.0
        mixing.bias.zero_()
        for channel in range(vae.config.latent_channels):
            mixing.weight[channel, channel] = 1.0
    bias_of(vae.quant_conv)[vae.config.latent_channels :] = NARROW


def bias_of(layer: nn.Conv2d) -> Tensor:
    """Its bias; raises ValueError if it has none."""
    if layer.bias is None:
        raise ValueError("The VAE's convolutions have biases, and this one has none.")
    return layer.bias


def _spread(layer: nn.Conv2d) -> None:
    """Three colours in, `+c, -c, +K, -K` of each out."""
    layer.weight[:CARRIED] = 0.0
    bias_of(layer)[:CARRIED] = 0.0
    for colour in range(3):
        first = 4 * colour
        layer.weight[first, colour, 1, 1] = 1.0
        layer.weight[first + 1, colour, 1, 1] = -1.0
        bias_of(layer)[first + 2] = STEADY
        bias_of(layer)[first + 3] = -STEADY


def _carry(layer: nn.Conv2d, *, averaging: bool) -> None:
    """The carried channels pass unchanged, or averaged two by two where the layer halves."""
    middle = layer.weight.shape[-1] // 2
    layer.weight.mul_(0.3)
    layer.weight[:CARRIED] = 0.0
    bias_of(layer)[:CARRIED] = 0.0
    for channel in range(CARRIED):
        if averaging:
            layer.weight[channel, channel, :2, :2] = 0.25
        else:
            layer.weight[channel, channel, middle, middle] = 1.0


def _gather(norm: nn.GroupNorm, layer: nn.Conv2d) -> None:
    """Undoes the norm for the carried channels and takes `+c` minus `-c` as each colour."""
    size = norm.num_channels // norm.num_groups
    for start in range(0, norm.num_channels, size):
        held = [c for c in range(start, start + size) if c < CARRIED]
        power = sum(STEADY**2 if c % 4 >= 2 else COLOUR_VARIANCE for c in held)
        norm.weight[held] = (power / size) ** 0.5
    layer.weight[:3] = 0.0
    bias_of(layer)[:3] = 0.0
    for colour in range(3):
        layer.weight[colour, 4 * colour, 1, 1] = 1.0
        layer.weight[colour, 4 * colour + 1, 1, 1] = -1.0
