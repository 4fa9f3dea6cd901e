"""FLUX.1 transformers as published, renamed and split as diffusers has them.

diffusers' own conversion takes every model for one of width 3072; this one reads the width from
the tensors. Where diffusers keeps three tensors, the authors keep one: query, key and value.
"""

import re
from collections.abc import Iterator
from typing import Final

import torch

Tensors = dict[str, torch.Tensor]

_ENDS: Final = {
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "txt_in": "context_embedder",
    "img_in": "x_embedder",
    "final_layer.linear": "proj_out",
}
_DOUBLE: Final = {
    "img_attn.norm.query_norm.scale": "attn.norm_q.weight",
    "img_attn.norm.key_norm.scale": "attn.norm_k.weight",
    "txt_attn.norm.query_norm.scale": "attn.norm_added_q.weight",
    "txt_attn.norm.key_norm.scale": "attn.norm_added_k.weight",
    "img_attn.proj.": "attn.to_out.0.",
    "txt_attn.proj.": "attn.to_add_out.",
    "img_mod.lin.": "norm1.linear.",
    "txt_mod.lin.": "norm1_context.linear.",
    "img_mlp.0.": "ff.net.0.proj.",
    "img_mlp.2.": "ff.net.2.",
    "txt_mlp.0.": "ff_context.net.0.proj.",
    "txt_mlp.2.": "ff_context.net.2.",
}
_SINGLE: Final = {
    "norm.query_norm.scale": "attn.norm_q.weight",
    "norm.key_norm.scale": "attn.norm_k.weight",
    "modulation.lin.": "norm.linear.",
    "linear2.": "proj_out.",
}
_JOINED: Final = {
    "img_attn.qkv.": ("attn.to_q.", "attn.to_k.", "attn.to_v."),
    "txt_attn.qkv.": ("attn.add_q_proj.", "attn.add_k_proj.", "attn.add_v_proj."),
    "linear1.": ("attn.to_q.", "attn.to_k.", "attn.to_v.", "proj_mlp."),
}
_BLOCK: Final = re.compile(r"(double|single)_blocks\.(\d+)\.(.+)")
_MODULATION: Final = "final_layer.adaLN_modulation.1."


def to_diffusers(tensors: Tensors) -> Tensors:
    """The same tensors under diffusers' names. Raises KeyError for a name that FLUX.1 lacks."""
    return {new: tensor for name in tensors for new, tensor in _renamed(name, tensors[name])}


def _renamed(name: str, tensor: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    block = _BLOCK.fullmatch(name)
    if block:
        kind, number, rest = block.groups()
        prefix = "transformer_blocks" if kind == "double" else "single_transformer_blocks"
        table = _DOUBLE if kind == "double" else _SINGLE
        for new, part in _in_block(rest, tensor, table):
            yield f"{prefix}.{number}.{new}", part
    elif name.startswith(_MODULATION):
        shift, scale = tensor.chunk(2)
        yield f"norm_out.linear.{name[len(_MODULATION) :]}", torch.cat([scale, shift])
    else:
        begin, _, end = name.rpartition(".")
        yield f"{_ENDS[begin]}.{end}", tensor


def _in_block(
    rest: str, tensor: torch.Tensor, table: dict[str, str]
) -> Iterator[tuple[str, torch.Tensor]]:
    for old, several in _JOINED.items():
        if rest.startswith(old):
            yield from _split(several, rest[len(old) :], tensor)
            return
    old = next(old for old in table if rest.startswith(old))
    yield table[old] + rest[len(old) :], tensor


def _split(
    names: tuple[str, ...], end: str, tensor: torch.Tensor
) -> Iterator[tuple[str, torch.Tensor]]:
    if len(names) == 3:
        sizes = [tensor.shape[0] // 3] * 3
    else:
        # Three of the width, and a layer that is four times as wide.
        width = tensor.shape[0] // 7
        sizes = [width] * 3 + [tensor.shape[0] - 3 * width]
    for name, part in zip(names, torch.split(tensor, sizes), strict=True):
        yield f"{name}{end}", part
