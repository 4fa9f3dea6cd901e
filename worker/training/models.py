"""The parts of the starter model, untrained: stock diffusers and transformers classes, small.

Besides cross-attention at the middle resolution, the U-Net adds the pooled prompt to its time
embedding (`addition_embed_type="text"`), so that every layer hears what is drawn: that is what
lets a model of this size learn its vocabulary in an hour.
"""

from copy import deepcopy
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from worker.training.diffusion import build_scheduler

TEXT_WIDTH = 256


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained CLIP text encoder of two layers for `tokenizer`'s vocabulary."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def build_unet(latent_size: int, *, channels: int) -> UNet2DConditionModel:
    """An untrained U-Net of 14 M parameters over latents [B, channels, latent_size, latent_size].

    Thin at full resolution, where pixels are many, and wide below, where the knowledge is.
    """
    return UNet2DConditionModel(
        sample_size=latent_size,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(64, 128, 192, 128),
        down_block_types=(
            "DownBlock2D",
            "CrossAttnDownBlock2D",
            "CrossAttnDownBlock2D",
            "DownBlock2D",
        ),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=(2, 4, 4, 4),
        norm_num_groups=16,
        cross_attention_dim=TEXT_WIDTH,
        time_embedding_dim=512,
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )


@torch.no_grad()
def widen_unet(known: UNet2DConditionModel, *, channels: int) -> UNet2DConditionModel:
    """`known` over latents of more channels: the new ones are not heard at first, and left at 0."""
    if known.config.in_channels == channels:
        return known
    unet = UNet2DConditionModel.from_config(
        dict(known.config) | {"in_channels": channels, "out_channels": channels}
    )
    kept = known.config.in_channels
    weights = known.state_dict()
    first, last = torch.zeros_like(unet.conv_in.weight), torch.zeros_like(unet.conv_out.weight)
    first[:, :kept], last[:kept] = weights["conv_in.weight"], weights["conv_out.weight"]
    bias = torch.zeros_like(unet.conv_out.bias)
    bias[:kept] = weights["conv_out.bias"]
    changed = {"conv_in.weight": first, "conv_out.weight": last, "conv_out.bias": bias}
    unet.load_state_dict(weights | changed)
    return unet


def save_pipeline(
    folder: Path,
    *,
    tokenizer: CLIPTokenizer,
    text_encoder: CLIPTextModel,
    unet: UNet2DConditionModel,
    vae: AutoencoderKL,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Writes a folder that `StableDiffusionPipeline.from_pretrained` loads; no file over 16 MB."""
    if dtype != torch.float32:
        text_encoder, unet, vae = (deepcopy(part).to(dtype) for part in (text_encoder, unet, vae))
    pipeline = StableDiffusionPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        unet=unet,
        vae=vae,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, max_shard_size="15MB")
