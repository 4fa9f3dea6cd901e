"""Tiny random-weight models whose prompts are read by language models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from diffusers import (
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from tokenizers.pre_tokenizers import ByteLevel
from torch import nn
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
)

from tests.pipelines.tiny_transformers import LATENT_CHANNELS, build, listening, tiny_vae
from webapp.catalog.architectures import ARCHITECTURES

WORDS_WIDTH = 16
# As Qwen's own: with a system's part, a mark for each message, and a place to think.
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def build_tiny_z_image(path: Path, *, dynamic_shift: bool = False) -> Path:
    """Write a tiny Z-Image to `path` and return it."""
    return build(lambda: _z_image(dynamic_shift), path)


def build_tiny_qwen_image(path: Path) -> Path:
    """Write a tiny Qwen-Image to `path` and return it: one latent for each 8x8 px."""
    return build(_qwen_image, path)


def build_tiny_flux2_klein(path: Path, *, is_distilled: bool = False) -> Path:
    """Write a tiny FLUX.2 klein to `path` and return it."""
    return build(lambda: _flux2_klein(is_distilled), path)


# Of each family one model: what writes it to a folder.
CHAT_MODELS: dict[str, Callable[[Path], Path]] = {
    "z_image": build_tiny_z_image,
    "qwen_image": build_tiny_qwen_image,
    "flux2_klein": build_tiny_flux2_klein,
}


def words_for(family: str) -> dict[str, Any]:
    """What a request of the family is changed by, if it takes no negative prompt."""
    return {} if ARCHITECTURES[family].uses_negative_prompt else {"negative_prompt": ""}


def chat_tokenizer() -> Qwen2Tokenizer:
    """Spells any text byte by byte, and has a template for chats."""
    pieces = [*_SPECIAL, *sorted(ByteLevel.alphabet())]
    return Qwen2Tokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        merges=[],
        additional_special_tokens=list(_SPECIAL[1:]),
        chat_template=TEMPLATE,
    )


def _z_image(dynamic_shift: bool) -> DiffusionPipeline:
    transformer = ZImageTransformer2DModel(
        in_channels=LATENT_CHANNELS,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=WORDS_WIDTH,
        axes_dims=[4, 6, 6],
        axes_lens=[640, 32, 32],
    )
    for token in (transformer.x_pad_token, transformer.cap_pad_token):
        nn.init.normal_(token)
    return ZImagePipeline(
        tokenizer=chat_tokenizer(),
        text_encoder=Qwen3Model(_qwen3(layers=2)),
        vae=tiny_vae(),
        transformer=listening(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=dynamic_shift),
    )


def _qwen_image() -> DiffusionPipeline:
    transformer = QwenImageTransformer2DModel(
        in_channels=4 * LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WORDS_WIDTH,
        axes_dims_rope=(4, 6, 6),
    )
    return QwenImagePipeline(
        tokenizer=chat_tokenizer(),
        text_encoder=Qwen2_5_VLForConditionalGeneration(_qwen2_5_vl()),
        vae=AutoencoderKLQwenImage(
            base_dim=4,
            z_dim=LATENT_CHANNELS,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
        ),
        transformer=listening(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, max_shift=0.9, max_image_seq_len=8192, shift_terminal=0.02
        ),
    )


def _flux2_klein(is_distilled: bool) -> DiffusionPipeline:
    transformer = Flux2Transformer2DModel(
        in_channels=4 * LATENT_CHANNELS,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=3 * WORDS_WIDTH,
        timestep_guidance_channels=32,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 8, 8, 16),
        norm_num_groups=8,
        latent_channels=LATENT_CHANNELS,
        sample_size=128,
    )
    nn.init.normal_(vae.bn.running_mean, std=0.3)
    nn.init.uniform_(vae.bn.running_var, 0.5, 2.0)
    return Flux2KleinPipeline(
        tokenizer=chat_tokenizer(),
        text_encoder=Qwen3ForCausalLM(_qwen3(layers=28)),
        vae=vae,
        transformer=listening(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        is_distilled=is_distilled,
    )


def _qwen3(*, layers: int) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=len(chat_tokenizer()),
        hidden_size=WORDS_WIDTH,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        initializer_range=0.3,  # or random layers add next to nothing
    )


def _qwen2_5_vl() -> Qwen2_5_VLConfig:
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(chat_tokenizer()),
            "hidden_size": WORDS_WIDTH,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [1, 1, 2],
            },
            "initializer_range": 0.3,
        },
        bos_token_id=None,
        eos_token_id=0,
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": WORDS_WIDTH,
        },
    )
