"""Grows a VAE by a stage: the trained one inside, a new outermost stage for twice the side.

The grown VAE takes pictures of twice the side to latents of the same height and width, with the
same meaning in the channels that were there, but for a scale and a shift of each (`even_out`).
"""

from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from diffusers import AutoencoderKL
from torch import Tensor, nn

from worker.training.vae_start import bias_of, start_near_linear

# How loud new latent channels are at first, beside the old ones. Measured: at 0.05, sampled with a
# log variance of -4, they said nothing yet after 600 steps.
VOICE: Final = 0.3
LOUDER: Final = 3.0  # the encoder's rows for them: a spread of about 1
SURE: Final = -8.0  # the log variance of the new channels


@torch.no_grad()
def grow_vae(known: AutoencoderKL, *, channels: int) -> AutoencoderKL:
    """A VAE of one stage more than `known` and `channels` latent channels, `known`'s weights in it.

    Before any training it halves a picture by averaging, does what `known` does, and doubles the
    result by repetition.
    """
    old = known.config
    outer = old.block_out_channels[0]
    stages = len(old.block_out_channels) + 1
    grown = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * stages,
        up_block_types=("UpDecoderBlock2D",) * stages,
        block_out_channels=(outer, *old.block_out_channels),
        layers_per_block=old.layers_per_block,
        latent_channels=channels,
        norm_num_groups=old.norm_num_groups,
        mid_block_add_attention=False,
        sample_size=2 * old.sample_size,
        scaling_factor=old.scaling_factor,
    )
    start_near_linear(grown)
    _fill_encoder(grown, known)
    _fill_decoder(grown, known)
    _fill_middle(grown, known)
    return grown


@torch.no_grad()
def even_out(vae: AutoencoderKL, pictures: Tensor) -> None:
    """Gives every latent channel a mean of 0 and as standard deviation its `smoothness` over
    `pictures`, uint8 [B, 3, H, W], the smoothest one's being 1, and sets `scaling_factor` to 1;
    what is decoded stays the same.

    Channels of detail are as good as white: with a deviation of 1 the five of them among eight were
    most of a denoiser's loss, which learned shapes late. Smaller, they are left to its last steps.
    The mean leaves `quant_conv` changed so, and `post_quant_conv` undoes it.
    """
    means = [
        vae.encode(part.to(vae.device).float() / 127.5 - 1.0).latent_dist.mode().float()
        for part in torch.split(pictures, 16)
    ]
    latents = torch.cat(means)
    wanted = smoothness(latents)
    mean, spread = latents.mean((0, 2, 3)), latents.std((0, 2, 3)) * wanted.max() / wanted
    before, after = vae.quant_conv, vae.post_quant_conv
    channels = len(mean)
    bias_of(after).add_((after.weight[:, :, 0, 0] * mean).sum(1))
    after.weight.mul_(spread[None, :, None, None])
    before.weight[:channels].div_(spread[:, None, None, None])
    bias_of(before)[:channels] = (bias_of(before)[:channels] - mean) / spread
    bias_of(before)[channels:] -= 2.0 * spread.log()
    vae.register_to_config(scaling_factor=1.0)


def smoothness(latents: Tensor) -> Tensor:
    """Of each channel of `latents` [B, C, h, w], the share of the variance that is left after
    averaging over 2x2: [C]. A quarter is white noise; 0.93 were the colours of small pictures."""
    share: Tensor = F.avg_pool2d(latents, 2).var((0, 2, 3)) / latents.var((0, 2, 3))
    return share


def _fill_encoder(grown: AutoencoderKL, known: AutoencoderKL) -> None:
    for new, old in zip(grown.encoder.down_blocks[1:], known.encoder.down_blocks, strict=True):
        new.load_state_dict(old.state_dict())
    grown.encoder.mid_block.load_state_dict(known.encoder.mid_block.state_dict())
    grown.encoder.conv_norm_out.load_state_dict(known.encoder.conv_norm_out.state_dict())
    # The new stage carries `+c` of each colour in channels 0, 4 and 8: its last convolution
    # averages them and does what the old first one did, as far as three pixels reach.
    last, first = grown.encoder.down_blocks[0].downsamplers[0].conv, known.encoder.conv_in
    last.weight.zero_()
    for colour in range(3):
        last.weight[:, 4 * colour, :2, :2] = first.weight[:, colour].sum((1, 2))[:, None, None] / 4
    last.bias.copy_(first.bias)
    _widen_moments(grown.encoder.conv_out, known.encoder.conv_out)


def _fill_decoder(grown: AutoencoderKL, known: AutoencoderKL) -> None:
    for new, old in zip(grown.decoder.up_blocks, known.decoder.up_blocks, strict=False):
        new.load_state_dict(old.state_dict(), strict=False)  # the old outermost one ends a stage
    grown.decoder.mid_block.load_state_dict(known.decoder.mid_block.state_dict())
    doubling = grown.decoder.up_blocks[-2].upsamplers[0].conv
    nn.init.dirac_(doubling.weight)
    doubling.bias.zero_()
    for layer in grown.decoder.up_blocks[-1].resnets:
        layer.conv2.weight.zero_()
        layer.conv2.bias.zero_()
    grown.decoder.conv_norm_out.load_state_dict(known.decoder.conv_norm_out.state_dict())
    grown.decoder.conv_out.load_state_dict(known.decoder.conv_out.state_dict())
    _widen_inputs(grown.decoder.conv_in, known.decoder.conv_in)


def _fill_middle(grown: AutoencoderKL, known: AutoencoderKL) -> None:
    _widen_moments(grown.quant_conv, known.quant_conv, square=True)
    old = known.post_quant_conv
    kept = old.weight.shape[0]
    new = grown.post_quant_conv
    nn.init.dirac_(new.weight)
    new.bias.zero_()
    new.weight[:kept, :kept] = old.weight
    new.bias[:kept] = old.bias


def _widen_inputs(new: nn.Conv2d, old: nn.Conv2d) -> None:
    kept = old.weight.shape[1]
    new.weight.mul_(VOICE)
    new.weight[:, :kept] = old.weight
    bias_of(new).copy_(bias_of(old))


def _widen_moments(new: nn.Conv2d, old: nn.Conv2d, *, square: bool = False) -> None:
    """Means first, then log variances, as diffusers orders them: each half gets new rows."""
    kept, wide = old.weight.shape[0] // 2, new.weight.shape[0] // 2
    rows = [*range(kept), *range(wide, wide + kept)]
    columns = rows if square else range(old.weight.shape[1])
    if square:
        nn.init.dirac_(new.weight)
        bias_of(new).zero_()
        new.weight[rows] = 0.0
    for at, row in enumerate(rows):
        new.weight[row, list(columns)] = old.weight[at]
        bias_of(new)[row] = bias_of(old)[at]
    if not square:
        new.weight[kept:wide].mul_(LOUDER)
        bias_of(new)[wide + kept :] = SURE
