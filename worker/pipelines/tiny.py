"""A tiny Stable Diffusion with random weights: `python -m worker.pipelines.tiny OUT_DIR`.

It draws noise, but it is a real pipeline of diffusers' own classes with a real CLIP tokenizer, so
tests and demonstrations run the true code paths in milliseconds and without the network.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TEXT_WIDTH = 32
PROMPT_TOKENS = 77
_MERGES = [("t", "h"), ("th", "e</w>"), ("a", "n"), ("an", "d</w>"), ("c", "a"), ("ca", "t</w>")]


def build_tiny_stable_diffusion(out_dir: Path, seed: int = 0) -> Path:
    """Write the pipeline to `out_dir` in diffusers format (under 5 MB) and return it.

    Native size 128x128 px, one latent per 8x8 px. The same seed gives the same weights; the
    global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = build_tiny_tokenizer()
        pipeline = StableDiffusionPipeline(
            vae=build_tiny_vae(),
            text_encoder=CLIPTextModel(tiny_text_config(tokenizer)),
            tokenizer=tokenizer,
            unet=_tiny_unet(),
            scheduler=stable_diffusion_scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(out_dir, safe_serialization=True)
    return out_dir


def build_tiny_tokenizer() -> CLIPTokenizer:
    """Return a CLIP tokenizer that spells any text byte by byte, with a few merges."""
    letters = sorted(ByteLevel.alphabet())  # one printable letter per byte
    pieces = letters + [f"{letter}</w>" for letter in letters]
    pieces += ["".join(merge) for merge in _MERGES]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocabulary, merges=_MERGES, model_max_length=PROMPT_TOKENS)


def tiny_text_config(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    """Return the configuration of a two-layer CLIP text encoder for `tokenizer`."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=PROMPT_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def stable_diffusion_scheduler() -> DDIMScheduler:
    """Return the noise schedule that Stable Diffusion 1.5 was trained with."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def build_tiny_vae(**options: Any) -> AutoencoderKL:
    """Return a VAE with one 4-channel latent per 8x8 px; `options` go to diffusers' class."""
    return AutoencoderKL(
        block_out_channels=(8, 16, 16, 32),
        norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        sample_size=128,
        **options,
    )


def _tiny_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=8,
        cross_attention_dim=TEXT_WIDTH,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )


def main(arguments: list[str]) -> int:
    """Build the model in the one folder given; return 0, or 2 when called wrongly."""
    if len(arguments) != 1:
        print("usage: python -m worker.pipelines.tiny OUT_DIR", file=sys.stderr)
        return 2
    print(json.dumps({"folder": str(build_tiny_stable_diffusion(Path(arguments[0])))}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
