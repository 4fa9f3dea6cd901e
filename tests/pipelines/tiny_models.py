"""Tiny random-weight models of the other families, made of diffusers' own classes."""

from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import (
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from worker.pipelines.tiny import (
    TEXT_WIDTH,
    build_tiny_tokenizer,
    build_tiny_vae,
    stable_diffusion_scheduler,
    tiny_text_config,
)


def build_tiny_sdxl(path: Path) -> Path:
    """Write a tiny Stable Diffusion XL to `path` and return it."""
    return _build(_sdxl, path)


def build_tiny_flux(path: Path) -> Path:
    """Write a tiny Flux to `path` and return it."""
    return _build(_flux, path)


def build_variant(
    original: Path,
    path: Path,
    *,
    pipeline_class: str = "",
    unet: dict[str, Any] | None = None,
    vae: dict[str, Any] | None = None,
    scheduler: Any = None,
) -> Path:
    """Write the model in `original` to `path` with some things changed, and return `path`.

    `unet`, `vae`: changed settings; such a part has new random weights. `scheduler`: another one.
    """
    pipe = DiffusionPipeline.from_pretrained(original)
    changed: dict[str, Any] = {"scheduler": scheduler} if scheduler is not None else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for name, settings in (("unet", unet), ("vae", vae)):
            part = getattr(pipe, name)
            if settings is not None:
                changed[name] = type(part).from_config(part.config, **settings)
    settings = {"requires_safety_checker": False} if "safety_checker" in pipe.components else {}
    wanted = getattr(diffusers, pipeline_class or type(pipe).__name__)
    wanted(**(pipe.components | changed), **settings).save_pretrained(path)
    return path


def v_prediction_scheduler() -> Any:
    """The noise schedule of Stable Diffusion 2, whose U-Net predicts velocity."""
    trained = stable_diffusion_scheduler()
    return type(trained).from_config(trained.config, prediction_type="v_prediction")


def _build(make: Any, path: Path) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        make().save_pretrained(path)
    return path


def _sdxl() -> StableDiffusionXLPipeline:
    tokenizer = build_tiny_tokenizer()
    text_config = tiny_text_config(tokenizer)
    return StableDiffusionXLPipeline(
        vae=build_tiny_vae(),
        text_encoder=CLIPTextModel(text_config),
        text_encoder_2=CLIPTextModelWithProjection(text_config),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(32, 64),
            layers_per_block=1,
            norm_num_groups=8,
            attention_head_dim=(2, 4),
            transformer_layers_per_block=(1, 2),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            # six numbers of 8 about size and crop, and the pooled text
            projection_class_embeddings_input_dim=6 * 8 + TEXT_WIDTH,
            cross_attention_dim=2 * TEXT_WIDTH,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        ),
        scheduler=stable_diffusion_scheduler(),
    )


def _flux() -> FluxPipeline:
    clip_tokenizer, t5_tokenizer = build_tiny_tokenizer(), _t5_tokenizer()
    return FluxPipeline(
        vae=build_tiny_vae(
            use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1, scaling_factor=0.4
        ),
        text_encoder=CLIPTextModel(tiny_text_config(clip_tokenizer)),
        tokenizer=clip_tokenizer,
        text_encoder_2=T5EncoderModel(
            T5Config(
                vocab_size=len(t5_tokenizer),
                d_model=TEXT_WIDTH,
                d_kv=8,
                d_ff=64,
                num_layers=2,
                num_heads=4,
                decoder_start_token_id=0,
            )
        ),
        tokenizer_2=t5_tokenizer,
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=4 * 4,  # patches of 2x2 latents
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=TEXT_WIDTH,
            pooled_projection_dim=TEXT_WIDTH,
            axes_dims_rope=[4, 4, 8],
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )


def _t5_tokenizer() -> T5Tokenizer:
    """A unigram tokenizer that spells with the letters of the alphabet."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    letters = [(letter, -2.0) for letter in "▁abcdefghijklmnopqrstuvwxyz"]
    return T5Tokenizer(vocab=special + letters, extra_ids=0, model_max_length=77)
