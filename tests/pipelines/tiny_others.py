"""Tiny random-weight models of classes that no adapter knows, made of diffusers' own classes."""

from pathlib import Path

from diffusers import (
    AutoencoderDC,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    Lumina2Pipeline,
    Lumina2Transformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
)
from transformers import Gemma2Config, Gemma2Model, GemmaTokenizer

from tests.pipelines.tiny_transformers import LATENT_CHANNELS, build, listening, tiny_vae

WORDS_WIDTH = 16


def build_tiny_sana(path: Path) -> Path:
    """Write a tiny Sana to `path` and return it: one latent for each 4x4 px."""
    return build(_sana, path)


def build_tiny_lumina2(path: Path) -> Path:
    """Write a tiny Lumina 2 to `path` and return it."""
    return build(_lumina2, path)


def _sana() -> DiffusionPipeline:
    return SanaPipeline(
        tokenizer=_gemma_tokenizer(),
        text_encoder=_gemma(),
        vae=AutoencoderDC(
            latent_channels=4,
            attention_head_dim=2,
            encoder_block_types=("ResBlock",) * 3,
            decoder_block_types=("ResBlock",) * 3,
            encoder_block_out_channels=(8, 8, 8),
            decoder_block_out_channels=(8, 8, 8),
            encoder_qkv_multiscales=((), (), ()),
            decoder_qkv_multiscales=((), (), ()),
            encoder_layers_per_block=(1, 1, 1),
            decoder_layers_per_block=(1, 1, 1),
            downsample_block_type="conv",
            upsample_block_type="interpolate",
            decoder_norm_types="rms_norm",
            decoder_act_fns="silu",
            scaling_factor=0.41407,
        ),
        transformer=listening(
            SanaTransformer2DModel(
                patch_size=1,
                in_channels=4,
                out_channels=4,
                num_layers=1,
                num_attention_heads=2,
                attention_head_dim=4,
                num_cross_attention_heads=2,
                cross_attention_head_dim=4,
                cross_attention_dim=8,
                caption_channels=WORDS_WIDTH,
                sample_size=16,
            )
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def _lumina2() -> DiffusionPipeline:
    return Lumina2Pipeline(
        tokenizer=_gemma_tokenizer(),
        text_encoder=_gemma(),
        vae=tiny_vae(),
        transformer=listening(
            Lumina2Transformer2DModel(
                sample_size=16,
                patch_size=2,
                in_channels=LATENT_CHANNELS,
                hidden_size=24,
                num_layers=1,
                num_refiner_layers=1,
                num_attention_heads=3,
                num_kv_heads=1,
                multiple_of=2,
                norm_eps=1e-5,
                scaling_factor=1.0,
                axes_dim_rope=(4, 2, 2),
                axes_lens=(512, 64, 64),
                cap_feat_dim=WORDS_WIDTH,
            )
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )


def _gemma_tokenizer() -> GemmaTokenizer:
    """Spells with the letters of the alphabet."""
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *"▁abcdefghijklmnopqrstuvwxyz"]
    return GemmaTokenizer(vocab={piece: number for number, piece in enumerate(pieces)})


def _gemma() -> Gemma2Model:
    return Gemma2Model(
        Gemma2Config(
            vocab_size=len(_gemma_tokenizer()),
            hidden_size=WORDS_WIDTH,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
        )
    )
