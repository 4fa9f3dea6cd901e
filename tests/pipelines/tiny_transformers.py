"""Tiny random-weight transformer models, made of diffusers' own classes.

Random weights start out nearly deaf to the prompt and to time; if a part begins at zero, it is
drawn at random too, so that an input passed on wrongly shows in the image.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from worker.pipelines.tiny import TEXT_WIDTH, build_tiny_tokenizer, tiny_text_config

LATENT_CHANNELS = 16
T5_WIDTH = 2 * TEXT_WIDTH  # SD3 puts its two CLIP embeddings side by side within T5's width
LONGEST_SIDE_PX = 256


def build_tiny_sd3(path: Path, *, dynamic_shift: bool = False, with_t5: bool = True) -> Path:
    """Write a tiny Stable Diffusion 3 to `path` and return it; it draws up to 256 px a side."""
    return build(lambda: _sd3(dynamic_shift, with_t5), path)


def build_tiny_flux(path: Path, *, dynamic_shift: bool = True, guided: bool = True) -> Path:
    """Write a tiny Flux to `path` and return it: as dev, or as schnell with both False."""
    return build(lambda: _flux(dynamic_shift, guided), path)


def build_tiny_pixart(path: Path) -> Path:
    """Write a tiny PixArt-Sigma to `path` and return it: a family without an adapter."""
    return build(_pixart, path)


def build(make: Callable[[], DiffusionPipeline], path: Path) -> Path:
    """Write the pipeline that `make` makes to `path`, with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        make().save_pretrained(path)
    return path


def _sd3(dynamic_shift: bool, with_t5: bool) -> StableDiffusion3Pipeline:
    tokenizer = build_tiny_tokenizer()
    text_config = tiny_text_config(tokenizer)
    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=T5_WIDTH,
        pooled_projection_dim=2 * TEXT_WIDTH,
        pos_embed_max_size=LONGEST_SIDE_PX // 16,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    return StableDiffusion3Pipeline(
        vae=tiny_vae(),
        text_encoder=CLIPTextModelWithProjection(text_config),
        text_encoder_2=CLIPTextModelWithProjection(text_config),
        text_encoder_3=tiny_t5() if with_t5 else None,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        tokenizer_3=t5_tokenizer() if with_t5 else None,
        transformer=listening(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=dynamic_shift),
    )


def _flux(dynamic_shift: bool, guided: bool) -> FluxPipeline:
    tokenizer = build_tiny_tokenizer()
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=4 * LATENT_CHANNELS,  # patches of 2x2 latents
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=T5_WIDTH,
        pooled_projection_dim=TEXT_WIDTH,
        guidance_embeds=guided,
        axes_dims_rope=(4, 4, 8),
    )
    return FluxPipeline(
        vae=tiny_vae(),
        text_encoder=CLIPTextModel(tiny_text_config(tokenizer)),
        text_encoder_2=tiny_t5(),
        tokenizer=tokenizer,
        tokenizer_2=t5_tokenizer(),
        transformer=listening(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=dynamic_shift),
    )


def _pixart() -> PixArtSigmaPipeline:
    transformer = PixArtTransformer2DModel(
        sample_size=32,
        patch_size=2,
        in_channels=LATENT_CHANNELS,
        out_channels=2 * LATENT_CHANNELS,  # a mean and a variance
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        cross_attention_dim=32,
        caption_channels=T5_WIDTH,
    )
    return PixArtSigmaPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=tiny_t5(),
        vae=tiny_vae(),
        transformer=listening(transformer),
        scheduler=DPMSolverMultistepScheduler(),
    )


def tiny_vae() -> AutoencoderKL:
    """A VAE with one 16-channel latent per 8x8 px, shifted and scaled as SD3's and Flux's are."""
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 16),
        norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=LATENT_CHANNELS,
        sample_size=128,
        shift_factor=0.1,
        scaling_factor=0.4,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def tiny_t5() -> T5EncoderModel:
    """A T5 encoder of two layers for `t5_tokenizer`."""
    config = T5Config(
        vocab_size=len(t5_tokenizer()),
        d_model=T5_WIDTH,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
    )
    return T5EncoderModel(config)


def t5_tokenizer() -> T5Tokenizer:
    """A unigram tokenizer that spells with the letters of the alphabet."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    letters = [(letter, -2.0) for letter in "▁abcdefghijklmnopqrstuvwxyz"]
    return T5Tokenizer(vocab=special + letters, extra_ids=0, model_max_length=77)


def listening(transformer: Any) -> Any:
    """Draw large weights for the parts by which time, prompt and position reach the image."""
    for name, parameter in transformer.named_parameters():
        if parameter.ndim > 1 and ("norm" in name or "embed" in name or "proj_out" in name):
            torch.nn.init.normal_(parameter, std=0.2)
    return transformer
