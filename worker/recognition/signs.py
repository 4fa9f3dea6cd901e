"""The one table of signs: which names of tensors tell what a file is.

A name is looked up under each of a row's prefixes, so that a file costs a few dozen look-ups
however many tensors it has. The first row that fits counts: the more particular stand first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from worker.recognition.found import Kind
from worker.recognition.headers import Header

# A denoiser's names as published in a whole checkpoint, alone, or as some tools wrap it.
DENOISER: Final = ("model.diffusion_model.", "", "diffusion_model.", "transformer.", "net.")
BARE: Final = ("",)
VAE: Final = ("first_stage_model.", "", "vae.")
UPSCALER: Final = ("", "params_ema.", "params.", "model.")

CONTEXT_2: Final = "input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
CONTEXT_4: Final = "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
CONTEXT_D1: Final = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
CONTEXT_D2: Final = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """`keys`: all must be there; `width`: the size of the last axis of the last of them, 0 for
    any. `layout`: published (as its authors wrote it) or diffusers. `channels`: the tensor whose
    second axis is what the denoiser takes."""

    architecture: str
    keys: tuple[str, ...]
    kind: Kind = "checkpoint"
    layout: str = "published"
    prefixes: tuple[str, ...] = DENOISER
    width: int = 0
    variant: str = ""
    channels: str = ""


def _unet(architecture: str, *keys: str, width: int = 0) -> Sign:
    first = "input_blocks.0.0.weight"
    return Sign(architecture=architecture, keys=(first, *keys), width=width, channels=first)


def _unet_of_diffusers(architecture: str, *keys: str, width: int = 0) -> Sign:
    first = "conv_in.weight"
    return Sign(
        architecture=architecture,
        keys=(first, "time_embedding.linear_1.weight", *keys),
        width=width,
        channels=first,
        layout="diffusers",
    )


def _of(architecture: str, *keys: str, layout: str = "published", channels: str = "") -> Sign:
    return Sign(architecture=architecture, keys=keys, layout=layout, channels=channels)


def _part(kind: Kind, architecture: str, *keys: str, **more: object) -> Sign:
    given = {"kind": kind, "architecture": architecture, "keys": keys, "prefixes": BARE} | more
    return Sign(**given)  # type: ignore[arg-type]


# Whole checkpoints of the first three are told by their text encoders, whatever their sizes.
_WHOLE: Final = (
    _part(
        "checkpoint",
        "sdxl",
        "conditioner.embedders.1.model.token_embedding.weight",
        "model.diffusion_model.input_blocks.0.0.weight",
        channels="model.diffusion_model.input_blocks.0.0.weight",
    ),
    _part(
        "checkpoint",
        "sdxl-refiner",
        "conditioner.embedders.0.model.token_embedding.weight",
        "model.diffusion_model.input_blocks.0.0.weight",
        channels="model.diffusion_model.input_blocks.0.0.weight",
    ),
    _part(
        "checkpoint",
        "sd2",
        "cond_stage_model.model.token_embedding.weight",
        "model.diffusion_model.input_blocks.0.0.weight",
        channels="model.diffusion_model.input_blocks.0.0.weight",
    ),
    *(
        _part(
            "checkpoint",
            "sd1",
            f"cond_stage_model.transformer.{infix}embeddings.token_embedding.weight",
            "model.diffusion_model.input_blocks.0.0.weight",
            channels="model.diffusion_model.input_blocks.0.0.weight",
        )
        for infix in ("text_model.", "")
    ),
)

_CONTROL: Final = (
    _part("controlnet", "", "controlnet_cond_embedding.conv_in.weight"),
    _part("controlnet", "", "control_model.time_embed.0.weight"),
    _part("controlnet", "", "input_hint_block.0.weight"),
    _part("controlnet", "flux", "controlnet_x_embedder.weight"),
    _part("controlnet", "flux", "controlnet_blocks.0.weight", "x_embedder.weight"),
    _part("controlnet", "sd3", "controlnet_blocks.0.weight", "pos_embed_input.proj.weight"),
    _part("controlnet", "", "controlnet_blocks.0.weight"),
    _part("controlnet", "z-image", "control_all_x_embedder.2-1.weight"),
    _part("controlnet", "z-image", "control_layers.0.adaLN_modulation.0.weight"),
    _part("controlnet", "", "adapter.body.0.resnets.0.block1.weight"),  # T2I-Adapter
    _part("controlnet", "", "body.0.block1.weight", "conv_in.weight"),
    _part("ip-adapter", "", "ip_adapter.1.to_k_ip.weight"),
    _part("ip-adapter", "", "image_proj.proj.weight"),
    _part("ip-adapter", "", "image_proj.latents"),
    _part("ip-adapter", "flux", "double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight"),
)

_DENOISERS: Final = (
    _unet("sdxl-refiner", "label_emb.0.0.weight", CONTEXT_4, width=1280),
    _unet("sdxl", "label_emb.0.0.weight"),
    _unet("sd-upscaler", "label_emb.weight"),
    _unet("sd2", CONTEXT_2, width=1024),
    _unet("sd1", CONTEXT_2, width=768),
    _unet_of_diffusers("kandinsky2", "encoder_hid_proj.image_embeds.weight"),
    _unet_of_diffusers("kandinsky2", "add_embedding.image_norm.weight"),
    _unet_of_diffusers("sdxl", "add_embedding.linear_1.weight", CONTEXT_D2, width=2048),
    _unet_of_diffusers("sdxl-refiner", "add_embedding.linear_1.weight", CONTEXT_D2, width=1280),
    _unet_of_diffusers("sd2", CONTEXT_D1, width=1024),
    _unet_of_diffusers("sd1", CONTEXT_D1, width=768),
    _of("flux2", "single_stream_modulation.lin.weight", channels="img_in.weight"),
    _of(
        "flux2",
        "single_stream_modulation.linear.weight",
        layout="diffusers",
        channels="x_embedder.weight",
    ),
    _of("chroma", "distilled_guidance_layer.in_proj.weight", "double_blocks.0.img_attn.qkv.weight"),
    _of("chroma", "distilled_guidance_layer.in_proj.weight", layout="diffusers"),
    _of("video", "double_blocks.0.img_attn_qkv.weight", "txt_in.individual_token_refiner.blocks.0"
        ".adaLN_modulation.1.bias"),
    _of("flux", "double_blocks.0.img_attn.norm.key_norm.scale", channels="img_in.weight"),
    _of(
        "flux",
        "single_transformer_blocks.0.attn.norm_k.weight",
        "time_text_embed.text_embedder.linear_1.weight",
        "x_embedder.weight",
        layout="diffusers",
        channels="x_embedder.weight",
    ),
    _of("sd3", "joint_blocks.0.context_block.adaLN_modulation.1.bias"),
    _of("sd3", "transformer_blocks.0.attn.add_k_proj.weight", "pos_embed.proj.weight",
        "time_text_embed.text_embedder.linear_1.weight", layout="diffusers"),
    _of("qwen-image", "txt_in.text_norm.weight", layout="diffusers"),
    _of("qwen-image", "transformer_blocks.0.img_mlp.net.0.proj.weight", "txt_norm.weight",
        layout="diffusers"),
    _of("z-image", "cap_embedder.0.weight", "layers.0.adaLN_modulation.0.weight",
        "x_embedder.weight"),
    _of("z-image", "all_x_embedder.2-1.weight", layout="diffusers"),
    _of("lumina2", "cap_embedder.0.weight", "layers.0.adaLN_modulation.1.weight"),
    _of("lumina2", "time_caption_embed.caption_embedder.0.weight", layout="diffusers"),
    _of("krea2", "txtfusion.projector.weight"),
    _of("krea2", "text_fusion.projector.weight", layout="diffusers"),
    _of("sana", "blocks.0.cross_attn.q_linear.weight", "blocks.0.mlp.inverted_conv.conv.weight"),
    _of("sana", "time_embed.linear.weight", "transformer_blocks.0.ff.conv_inverted.weight",
        layout="diffusers"),
    _of("pixart", "blocks.0.cross_attn.q_linear.weight", "t_block.1.weight"),
    _of("pixart", "adaln_single.linear.weight", "pos_embed.proj.weight",
        "caption_projection.linear_1.weight", layout="diffusers"),
    _of("auraflow", "register_tokens", "double_layers.0.attn.w1q.weight"),
    _of("auraflow", "register_tokens", "joint_transformer_blocks.0.attn.to_q.weight",
        layout="diffusers"),
    _of("hidream", "double_stream_blocks.0.block.adaLN_modulation.1.bias"),
    _of("cascade", "clip_txt_mapper.weight"),
    _of("cascade", "clip_txt_pooled_mapper.weight"),
    _of("cascade", "effnet_mapper.0.weight"),
    _of("kandinsky5", "visual_transformer_blocks.0.visual_modulation.out_layer.weight"),
    _of("hunyuan-dit", "extra_embedder.0.weight", "blocks.0.default_modulation.1.weight"),
    _of("hunyuan-dit", "extra_embedder.0.weight", "text_embedding_padding"),
    _of("video", "head.modulation"),
    _of("video", "patchify_proj.weight"),
    _of("video", "txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias"),
    _of("video", "blocks.0.attn.qkv_x.weight"),
    _of("video", "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight"),
)  # fmt: skip

_VAES: Final = (
    _part("vae", "z-image", "decoder.middle.0.residual.0.gamma", variant="wan", prefixes=VAE),
    _part("vae", "qwen-image", "decoder.mid_block.resnets.0.norm1.gamma", variant="wan"),
    _part("vae", "sana", "decoder.stages.1.op_list.0.main.conv.conv.bias"),
    _part("vae", "sana", "decoder.up_blocks.0.0.conv.weight", "decoder.conv_in.weight"),
    _part("vae", "", "decoder.layers.0.weight", "encoder.layers.0.weight", variant="tiny"),
    _part("vae", "", "taesd_decoder.1.weight", variant="tiny"),
    _part("vae", "flux2", "bn.running_mean", "decoder.conv_in.weight", prefixes=VAE),
    _part("vae", "", "decoder.mid_block.resnets.0.conv1.weight", "decoder.conv_in.weight",
          layout="diffusers", prefixes=VAE),
    _part("vae", "", "decoder.mid.block_1.conv1.weight", "decoder.conv_in.weight", prefixes=VAE),
)  # fmt: skip

_ENCODERS: Final = (
    _part("text encoder", "t5", "encoder.block.0.layer.0.SelfAttention.q.weight",
          prefixes=("", "text_encoders.t5xxl.transformer.")),
    _part("text encoder", "t5", "enc.blk.0.attn_q.weight"),
    *(
        _part("text encoder", architecture, f"{infix}embeddings.token_embedding.weight",
              width=width, prefixes=("", "text_encoder.", "transformer."))
        for infix in ("text_model.", "")
        for architecture, width in (("clip-l", 768), ("clip-h", 1024), ("clip-g", 1280), ("", 0))
    ),
    _part("text encoder", "llm", "model.layers.0.self_attn.q_proj.weight",
          prefixes=("", "language_model.")),
    _part("text encoder", "llm", "model.language_model.layers.0.self_attn.q_proj.weight"),
    _part("text encoder", "llm", "token_embd.weight", "blk.0.attn_q.weight"),
)  # fmt: skip

_UPSCALERS: Final = tuple(
    _part("upscaler", "", *keys, prefixes=UPSCALER)
    for keys in (
        ("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"),
        ("conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight"),
        ("conv_first.weight", "body.0.rdb1.conv1.weight"),
        ("conv_first.weight", "layers.0.residual_group.blocks.0.norm1.weight"),
        ("conv_first.weight", "layers.0.blocks.0.norm1.weight"),
        ("conv_first.weight", "conv_last.weight"),
        ("body.0.weight", "body.1.weight", "body.2.weight"),
    )
)

# In the order in which they are tried.
SIGNS: Final = (*_WHOLE, *_CONTROL, *_DENOISERS, *_VAES, *_ENCODERS, *_UPSCALERS)


@dataclass(frozen=True, slots=True)
class Match:
    """The row that fits, and under which prefix its names were found."""

    sign: Sign
    prefix: str


def match(header: Header, signs: Sequence[Sign] = SIGNS) -> Match | None:
    """The first row that fits the header; None if none does."""
    for sign in signs:
        for prefix in sign.prefixes:
            if _fits(header, sign, prefix):
                return Match(sign, prefix)
    return None


def _fits(header: Header, sign: Sign, prefix: str) -> bool:
    if not all(f"{prefix}{key}" in header.tensors for key in sign.keys):
        return False
    shape = header.shape(f"{prefix}{sign.keys[-1]}")
    return not sign.width or shape[-1:] == (sign.width,)
