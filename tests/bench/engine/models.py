"""What is drawn with: a tiny Stable Diffusion, or SD 1.5 and SDXL at full size.

The full-size ones have the architecture of the published models and random weights, made on the
device: an image of noise takes as long as any other, and nothing need be downloaded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import (
    AutoencoderKL,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from worker.engine.request import ModelSource
from worker.pipelines.memory import release_memory
from worker.pipelines.tiny import (
    PROMPT_TOKENS,
    build_tiny_stable_diffusion,
    build_tiny_tokenizer,
    stable_diffusion_scheduler,
)

ModelName = Literal["tiny", "sd15", "sdxl"]
CLIP_WORDS = 49408


# Small enough that a call of one row leaves most of a processor idle, as a GPU is at real sizes:
# at 128 pixels the tiny U-Net keeps one core busy with two rows, and no batch can help.
TINY_SIDE_PX = 64


@dataclass(frozen=True, slots=True)
class BenchModel:
    """A model in `folder` and the size of the images that it was made for."""

    source: ModelSource
    folder: Path
    side_px: int


def build(name: ModelName, folder: Path, *, device: str) -> BenchModel:
    """Write the model to `folder`, in float32 if it is tiny and else in bfloat16."""
    if name == "tiny":
        build_tiny_stable_diffusion(folder)
        return BenchModel(ModelSource("tiny", "sd", "folder", str(folder)), folder, TINY_SIDE_PX)
    make, family, side_px = _FULL_SIZE[name]
    torch.manual_seed(0)
    make(device).save_pretrained(folder, safe_serialization=True)
    release_memory()
    return BenchModel(ModelSource(name, family, "folder", str(folder)), folder, side_px)


def sd15(device: str) -> StableDiffusionPipeline:
    """Stable Diffusion 1.5 without its safety checker, weights random, in bfloat16 on `device`."""
    tokenizer = build_tiny_tokenizer()
    return StableDiffusionPipeline(
        vae=_on(device, lambda: _vae(sample_size=512, scaling_factor=0.18215)),
        text_encoder=_on(device, lambda: CLIPTextModel(_clip_l(tokenizer))),
        tokenizer=tokenizer,
        unet=_on(device, _sd15_unet),
        scheduler=stable_diffusion_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl(device: str) -> StableDiffusionXLPipeline:
    """Stable Diffusion XL base 1.0, weights random, in bfloat16 on `device`."""
    tokenizer = build_tiny_tokenizer()
    return StableDiffusionXLPipeline(
        vae=_on(device, lambda: _vae(sample_size=1024, scaling_factor=0.13025)),
        text_encoder=_on(device, lambda: CLIPTextModel(_clip_l(tokenizer))),
        text_encoder_2=_on(device, lambda: CLIPTextModelWithProjection(_clip_big_g(tokenizer))),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=_on(device, _sdxl_unet),
        scheduler=stable_diffusion_scheduler(),
        add_watermarker=False,
    )


_FULL_SIZE: dict[str, tuple[Callable[[str], Any], str, int]] = {
    "sd15": (sd15, "sd", 512),
    "sdxl": (sdxl, "sdxl", 1024),
}


def _on(device: str, make: Callable[[], Any]) -> Any:
    """The module that `make` makes, its weights bfloat16 on `device` from the first."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            return make().eval()
    finally:
        torch.set_default_dtype(usual)


def _sd15_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(320, 640, 1280, 1280),
        layers_per_block=2,
        attention_head_dim=8,
        cross_attention_dim=768,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    )


def _sdxl_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=128,
        block_out_channels=(320, 640, 1280),
        layers_per_block=2,
        attention_head_dim=(5, 10, 20),
        transformer_layers_per_block=(1, 2, 10),
        use_linear_projection=True,
        cross_attention_dim=2048,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        # six numbers of 256 about size and crop, and 1280 of pooled text
        projection_class_embeddings_input_dim=6 * 256 + 1280,
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",),
    )


def _vae(*, sample_size: int, scaling_factor: float) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        sample_size=sample_size,
        scaling_factor=scaling_factor,
    )


def _clip_l(tokenizer: Any) -> CLIPTextConfig:
    return _clip(
        tokenizer,
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        projection_dim=768,
        hidden_act="quick_gelu",
    )


def _clip_big_g(tokenizer: Any) -> CLIPTextConfig:
    return _clip(
        tokenizer,
        hidden_size=1280,
        intermediate_size=5120,
        num_hidden_layers=32,
        num_attention_heads=20,
        projection_dim=1280,
        hidden_act="gelu",
    )


def _clip(tokenizer: Any, **options: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=CLIP_WORDS,
        max_position_embeddings=PROMPT_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **options,
    )
