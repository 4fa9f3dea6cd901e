"""Writes tiny SDXL, SD3 and FLUX.1 folders as the single files that their authors publish.

diffusers reads these layouts but does not write them: what it splits is joined here again.
"""

from pathlib import Path

import torch

from tests.pipelines.original_layout import Tensors, load_part, original_unet, original_vae

DENOISER = "model.diffusion_model."


def sdxl_tensors(folder: Path) -> Tensors:
    """A whole SDXL checkpoint."""
    text = load_part(folder, "text_encoder")
    tensors = original_unet(folder) | original_vae(folder)
    tensors |= {
        f"conditioner.embedders.0.transformer.text_model.{bare(name)}": text[name] for name in text
    }
    return tensors | open_clip(
        load_part(folder, "text_encoder_2"), "conditioner.embedders.1.model."
    )


def bare(name: str) -> str:
    """The name without what some of transformers' classes put before it."""
    return name.removeprefix("text_model.")


def open_clip(text: Tensors, prefix: str) -> Tensors:
    """A CLIP of transformers as open_clip writes it."""
    text = {bare(name): tensor for name, tensor in text.items()}
    found = {
        "token_embedding.weight": text["embeddings.token_embedding.weight"],
        "positional_embedding": text["embeddings.position_embedding.weight"],
        "ln_final.weight": text["final_layer_norm.weight"],
        "ln_final.bias": text["final_layer_norm.bias"],
    }
    if "text_projection.weight" in text:
        found["text_projection"] = text["text_projection.weight"].T.contiguous()
    for number in range(count(text, "encoder.layers.")):
        old, new = f"encoder.layers.{number}.", f"transformer.resblocks.{number}."
        for kind in ("weight", "bias"):
            joined = [text[f"{old}self_attn.{each}_proj.{kind}"] for each in "qkv"]
            found |= {
                f"{new}attn.in_proj_{kind}": torch.cat(joined),
                f"{new}attn.out_proj.{kind}": text[f"{old}self_attn.out_proj.{kind}"],
                f"{new}ln_1.{kind}": text[f"{old}layer_norm1.{kind}"],
                f"{new}ln_2.{kind}": text[f"{old}layer_norm2.{kind}"],
                f"{new}mlp.c_fc.{kind}": text[f"{old}mlp.fc1.{kind}"],
                f"{new}mlp.c_proj.{kind}": text[f"{old}mlp.fc2.{kind}"],
            }
    return {f"{prefix}{name}": tensor for name, tensor in found.items()}


def count(tensors: Tensors, prefix: str) -> int:
    """How many numbered blocks there are behind the prefix."""
    return 1 + max(
        int(name[len(prefix) :].partition(".")[0]) for name in tensors if name.startswith(prefix)
    )


def swapped(tensor: torch.Tensor) -> torch.Tensor:
    """The originals put the shift before the scale."""
    first, second = tensor.chunk(2)
    return torch.cat([second, first])


def flux_tensors(folder: Path) -> Tensors:
    """The transformer alone, as published."""
    had = load_part(folder, "transformer")
    made: Tensors = {}
    for kind in ("weight", "bias"):
        made |= {
            f"{new}.{kind}": had[f"{old}.{kind}"]
            for new, old in FLUX_ENDS.items()
            if f"{old}.{kind}" in had
        }
        modulation = swapped(had[f"norm_out.linear.{kind}"])
        made[f"final_layer.adaLN_modulation.1.{kind}"] = modulation
        for number in range(count(had, "transformer_blocks.")):
            made |= _flux_double(had, number, kind)
        for number in range(count(had, "single_transformer_blocks.")):
            made |= _flux_single(had, number, kind)
    return made


FLUX_ENDS = {
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


def _flux_double(had: Tensors, number: int, kind: str) -> Tensors:
    old, new = f"transformer_blocks.{number}.", f"double_blocks.{number}."
    image = [had[f"{old}attn.to_{each}.{kind}"] for each in "qkv"]
    text = [had[f"{old}attn.add_{each}_proj.{kind}"] for each in "qkv"]
    made = {
        f"{new}img_attn.qkv.{kind}": torch.cat(image),
        f"{new}txt_attn.qkv.{kind}": torch.cat(text),
        f"{new}img_attn.proj.{kind}": had[f"{old}attn.to_out.0.{kind}"],
        f"{new}txt_attn.proj.{kind}": had[f"{old}attn.to_add_out.{kind}"],
        f"{new}img_mod.lin.{kind}": had[f"{old}norm1.linear.{kind}"],
        f"{new}txt_mod.lin.{kind}": had[f"{old}norm1_context.linear.{kind}"],
        f"{new}img_mlp.0.{kind}": had[f"{old}ff.net.0.proj.{kind}"],
        f"{new}img_mlp.2.{kind}": had[f"{old}ff.net.2.{kind}"],
        f"{new}txt_mlp.0.{kind}": had[f"{old}ff_context.net.0.proj.{kind}"],
        f"{new}txt_mlp.2.{kind}": had[f"{old}ff_context.net.2.{kind}"],
    }
    if kind == "weight":
        made |= {
            f"{new}{side}_attn.norm.{long}_norm.scale": had[f"{old}attn.norm_{infix}{short}.weight"]
            for side, infix in (("img", ""), ("txt", "added_"))
            for long, short in (("query", "q"), ("key", "k"))
        }
    return made


def _flux_single(had: Tensors, number: int, kind: str) -> Tensors:
    old, new = f"single_transformer_blocks.{number}.", f"single_blocks.{number}."
    first = [had[f"{old}attn.to_{each}.{kind}"] for each in "qkv"]
    made = {
        f"{new}linear1.{kind}": torch.cat([*first, had[f"{old}proj_mlp.{kind}"]]),
        f"{new}linear2.{kind}": had[f"{old}proj_out.{kind}"],
        f"{new}modulation.lin.{kind}": had[f"{old}norm.linear.{kind}"],
    }
    if kind == "weight":
        made |= {
            f"{new}norm.{long}_norm.scale": had[f"{old}attn.norm_{short}.weight"]
            for long, short in (("query", "q"), ("key", "k"))
        }
    return made


def sd3_tensors(folder: Path) -> Tensors:
    """The transformer alone, as published, without a prefix."""
    had = load_part(folder, "transformer")
    made: Tensors = {"pos_embed": had["pos_embed.pos_embed"]}
    blocks = count(had, "transformer_blocks.")
    for kind in ("weight", "bias"):
        made |= {f"{new}.{kind}": had[f"{old}.{kind}"] for new, old in SD3_ENDS.items()}
        modulation = swapped(had[f"norm_out.linear.{kind}"])
        made[f"final_layer.adaLN_modulation.1.{kind}"] = modulation
        for number in range(blocks):
            made |= _sd3_block(had, number, kind, is_last=number == blocks - 1)
    return made


SD3_ENDS = {
    "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
    "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1",
    "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
    "context_embedder": "context_embedder",
    "x_embedder.proj": "pos_embed.proj",
    "final_layer.linear": "proj_out",
}


def _sd3_block(had: Tensors, number: int, kind: str, *, is_last: bool) -> Tensors:
    old, new = f"transformer_blocks.{number}.", f"joint_blocks.{number}."
    context = had[f"{old}norm1_context.linear.{kind}"]
    attentions = {"x_block.attn": ("attn.to_{}", "attn.to_out.0", "attn.norm_{}")}
    attentions["context_block.attn"] = (
        "attn.add_{}_proj",
        "attn.to_add_out",
        "attn.norm_added_{}",
    )
    if f"{old}attn2.to_q.weight" in had:
        attentions["x_block.attn2"] = ("attn2.to_{}", "attn2.to_out.0", "attn2.norm_{}")
    made = {
        f"{new}x_block.adaLN_modulation.1.{kind}": had[f"{old}norm1.linear.{kind}"],
        f"{new}context_block.adaLN_modulation.1.{kind}": swapped(context) if is_last else context,
        f"{new}x_block.mlp.fc1.{kind}": had[f"{old}ff.net.0.proj.{kind}"],
        f"{new}x_block.mlp.fc2.{kind}": had[f"{old}ff.net.2.{kind}"],
    }
    if not is_last:
        made |= {
            f"{new}context_block.mlp.fc1.{kind}": had[f"{old}ff_context.net.0.proj.{kind}"],
            f"{new}context_block.mlp.fc2.{kind}": had[f"{old}ff_context.net.2.{kind}"],
        }
    for name, (one, out, norm) in attentions.items():
        joined = [had[f"{old}{one.format(each)}.{kind}"] for each in "qkv"]
        made[f"{new}{name}.qkv.{kind}"] = torch.cat(joined)
        if f"{old}{out}.{kind}" in had:
            made[f"{new}{name}.proj.{kind}"] = had[f"{old}{out}.{kind}"]
        if kind == "weight":
            made |= {
                f"{new}{name}.ln_{each}.weight": had[f"{old}{norm.format(each)}.weight"]
                for each in "qk"
            }
    return made


def with_prefix(tensors: Tensors, prefix: str) -> Tensors:
    """The same with `prefix` before each name."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}
