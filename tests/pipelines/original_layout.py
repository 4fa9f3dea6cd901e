"""Writes a diffusers folder as the single file that the original Stable Diffusion code writes.

The names are those of CompVis' latent-diffusion checkpoints; diffusers reads them but does not
write them.
"""

import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

Rules = list[tuple[str, str]]
Tensors = dict[str, torch.Tensor]

_LAYER = re.compile(r"down_blocks\.\d\.resnets\.(\d)")

_RESNET: Rules = [
    (r"\.norm1\.", ".in_layers.0."),
    (r"\.conv1\.", ".in_layers.2."),
    (r"\.norm2\.", ".out_layers.0."),
    (r"\.conv2\.", ".out_layers.3."),
    (r"\.time_emb_proj\.", ".emb_layers.1."),
    (r"\.conv_shortcut\.", ".skip_connection."),
]
_UNET_ENDS: Rules = [
    (r"^time_embedding\.linear_1", "time_embed.0"),
    (r"^time_embedding\.linear_2", "time_embed.2"),
    (r"^add_embedding\.linear_1", "label_emb.0.0"),
    (r"^add_embedding\.linear_2", "label_emb.0.2"),
    (r"^conv_in", "input_blocks.0.0"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
    (r"^mid_block\.resnets\.0", "middle_block.0"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^mid_block\.resnets\.1", "middle_block.2"),
]
_VAE: Rules = [
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"group_norm", "norm"),
    (r"to_([qkv])\.", r"\1."),
    (r"to_out\.0", "proj_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"conv_norm_out", "norm_out"),
    (r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"up_blocks\.(\d)\.resnets\.(\d)", r"up.\1.block.\2"),
    (r"up_blocks\.(\d)\.upsamplers\.0", r"up.\1.upsample"),
]


def load_part(folder: Path, part: str) -> Tensors:
    """All tensors of one component of a folder."""
    tensors: Tensors = {}
    for file in sorted((folder / part).glob("*.safetensors")):
        tensors |= load_file(file)
    return tensors


def write_original_file(folder: Path, file: Path) -> None:
    """Write the Stable Diffusion 1 in `folder` to `file`."""
    text = load_part(folder, "text_encoder")
    tensors = original_unet(folder) | original_vae(folder)
    tensors |= {f"cond_stage_model.transformer.text_model.{name}": text[name] for name in text}
    save_file(tensors, file)


def original_unet(folder: Path) -> Tensors:
    """The tensors of the folder's U-Net; of SDXL's too."""
    unet = load_part(folder, "unet")
    layers = 1 + max(int(found[1]) for found in map(_LAYER.match, unet) if found)
    return {f"model.diffusion_model.{_unet_name(name, layers, unet)}": unet[name] for name in unet}


def original_vae(folder: Path, prefix: str = "first_stage_model.") -> Tensors:
    """The tensors of the folder's VAE."""
    vae = load_part(folder, "vae")
    return {f"{prefix}{_vae_name(name)}": _as_conv(name, vae[name]) for name in vae}


def _apply(rules: Rules, name: str) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _unet_name(name: str, layers: int, unet: Tensors) -> str:
    # Behind the first come, of each block, its layers and its downsampler; the way up has one
    # layer more in each, and the upsampler in the last.
    side = layers + 1
    name = re.sub(
        r"^down_blocks\.(\d)\.(resnets|attentions)\.(\d)",
        lambda m: f"input_blocks.{1 + side * int(m[1]) + int(m[3])}.{int(m[2] == 'attentions')}",
        name,
    )
    name = re.sub(
        r"^down_blocks\.(\d)\.downsamplers\.0\.conv",
        lambda m: f"input_blocks.{side * (int(m[1]) + 1)}.0.op",
        name,
    )
    name = re.sub(
        r"^up_blocks\.(\d)\.(resnets|attentions)\.(\d)",
        lambda m: f"output_blocks.{side * int(m[1]) + int(m[3])}.{int(m[2] == 'attentions')}",
        name,
    )
    name = re.sub(
        r"^up_blocks\.(\d)\.upsamplers\.0",
        lambda m: f"output_blocks.{side * int(m[1]) + layers}.{_upsampler(int(m[1]), unet)}",
        name,
    )
    name = _apply(_UNET_ENDS, name)
    is_resnet = re.match(r"(input|output)_blocks\.\d+\.0\.|middle_block\.[02]\.", name)
    return _apply(_RESNET, name) if is_resnet else name


def _upsampler(block: int, unet: Tensors) -> int:
    """It stands behind the layer, and behind the attention, if there is one."""
    return 1 + any(name.startswith(f"up_blocks.{block}.attentions") for name in unet)


def _vae_name(name: str) -> str:
    name = _apply(_VAE, name)
    # The original counts the decoder's blocks from the image.
    return re.sub(r"up\.(\d)", lambda m: f"up.{3 - int(m[1])}", name)


def _as_conv(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """The original's VAE attention is made of 1x1 convolutions."""
    is_attention = "attentions.0.to_" in name and tensor.ndim == 2
    return tensor[:, :, None, None].contiguous() if is_attention else tensor
