"""Names and shapes of tensors, as the published files of each architecture have them (a few of
each, beside those that tell it from the others)."""

from typing import Final

from tests.recognition.headers import Shape, wrapped

Names = dict[str, Shape]
DENOISER: Final = "model.diffusion_model."


def unet(context: int, *, channels: int = 4, heads: bool = False, label: int = 0) -> Names:
    """Of an original U-Net: `label` is the width of what SDXL is told of sizes."""
    attention = "4.1" if label else "2.1"
    width = 640 if label else 320
    found: Names = {
        "time_embed.0.weight": (1280, 320),
        "time_embed.0.bias": (1280,),
        "input_blocks.0.0.weight": (320, channels, 3, 3),
        "input_blocks.1.0.in_layers.2.weight": (320, 320, 3, 3),
        f"input_blocks.{attention}.transformer_blocks.0.attn1.to_q.weight": (width, width),
        f"input_blocks.{attention}.transformer_blocks.0.attn2.to_k.weight": (width, context),
        f"input_blocks.{attention}.transformer_blocks.0.attn2.to_v.weight": (width, context),
        "middle_block.0.in_layers.0.weight": (1280,),
        "out.2.weight": (4, 320, 3, 3),
    }
    if not label:
        found["output_blocks.11.0.skip_connection.weight"] = (320, 640, 1, 1)
    if label:
        found["label_emb.0.0.weight"] = (1280, label)
    return found


VAE: Final = {
    "decoder.conv_in.weight": (512, 4, 3, 3),
    "decoder.mid.block_1.conv1.weight": (512, 512, 3, 3),
    "encoder.conv_in.weight": (128, 3, 3, 3),
    "quant_conv.weight": (8, 8, 1, 1),
}
CLIP_L: Final = {
    "text_model.embeddings.position_embedding.weight": (77, 768),
    "text_model.embeddings.token_embedding.weight": (49408, 768),
    "text_model.encoder.layers.0.self_attn.q_proj.weight": (768, 768),
}
OPEN_CLIP: Final = {
    "token_embedding.weight": (49408, 1024),
    "positional_embedding": (77, 1024),
    "transformer.resblocks.0.attn.in_proj_weight": (3072, 1024),
}
BIG_G: Final = {
    "token_embedding.weight": (49408, 1280),
    "positional_embedding": (77, 1280),
    "text_projection": (1280, 1280),
    "transformer.resblocks.9.mlp.c_proj.bias": (1280,),
}
T5: Final = {
    "shared.weight": (32128, 4096),
    "encoder.block.0.layer.0.SelfAttention.q.weight": (4096, 4096),
}

SD1: Final = (
    wrapped(unet(768), DENOISER)
    | wrapped(VAE, "first_stage_model.")
    | wrapped(CLIP_L, "cond_stage_model.transformer.")
)
SD1_OLD: Final = {
    name.replace("transformer.text_model.", "transformer."): shape for name, shape in SD1.items()
}
SD1_EMA: Final = SD1 | {
    f"model_ema.{name.removeprefix('model.').replace('.', '')}": shape
    for name, shape in SD1.items()
    if name.startswith(DENOISER)
}
SD2: Final = (
    wrapped(unet(1024), DENOISER)
    | wrapped(VAE, "first_stage_model.")
    | wrapped(OPEN_CLIP, "cond_stage_model.model.")
)


def sdxl(*, channels: int = 4) -> Names:
    return (
        wrapped(unet(2048, label=2816, channels=channels), DENOISER)
        | wrapped(VAE, "first_stage_model.")
        | wrapped(CLIP_L, "conditioner.embedders.0.transformer.")
        | wrapped(BIG_G, "conditioner.embedders.1.model.")
    )


REFINER: Final = (
    wrapped(unet(1280, label=2560), DENOISER)
    | wrapped(VAE, "first_stage_model.")
    | wrapped(BIG_G, "conditioner.embedders.0.model.")
)
SD3: Final = {
    "pos_embed": (1, 36864, 1536),
    "x_embedder.proj.weight": (1536, 16, 2, 2),
    "context_embedder.weight": (1536, 4096),
    "joint_blocks.0.context_block.adaLN_modulation.1.bias": (9216,),
    "joint_blocks.0.context_block.adaLN_modulation.1.weight": (9216, 1536),
    "joint_blocks.0.x_block.attn.qkv.weight": (4608, 1536),
}
VAE_16: Final = {
    "decoder.conv_in.weight": (512, 16, 3, 3),
    "decoder.mid.block_1.conv1.weight": (512, 512, 3, 3),
    "encoder.conv_in.weight": (128, 3, 3, 3),
}
CLIP_G: Final = {name: (*shape[:-1], 1280) for name, shape in CLIP_L.items()}
SD3_ENCODERS: Final = (
    wrapped(CLIP_L, "text_encoders.clip_l.transformer.")
    | wrapped(CLIP_G, "text_encoders.clip_g.transformer.")
    | wrapped(T5, "text_encoders.t5xxl.transformer.")
)


def flux(*, channels: int = 64, guidance: bool = True) -> Names:
    found: Names = {
        "img_in.weight": (3072, channels),
        "txt_in.weight": (3072, 4096),
        "time_in.in_layer.weight": (3072, 256),
        "vector_in.in_layer.weight": (3072, 768),
        "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
        "double_blocks.0.img_attn.qkv.weight": (9216, 3072),
        "single_blocks.0.linear1.weight": (21504, 3072),
        "final_layer.linear.weight": (64, 3072),
    }
    if guidance:
        found |= {
            "guidance_in.in_layer.weight": (3072, 256),
            "guidance_in.in_layer.bias": (3072,),
        }
    return found


FLUX_DIFFUSERS: Final = {
    "x_embedder.weight": (3072, 64),
    "context_embedder.weight": (3072, 4096),
    "time_text_embed.text_embedder.linear_1.weight": (3072, 768),
    "time_text_embed.guidance_embedder.linear_1.weight": (3072, 256),
    "transformer_blocks.0.attn.norm_k.weight": (128,),
    "transformer_blocks.0.attn.add_k_proj.weight": (3072, 3072),
    "single_transformer_blocks.0.attn.norm_k.weight": (128,),
}
FLUX2: Final = {
    "img_in.weight": (3072, 128),
    "txt_in.weight": (3072, 7680),
    "double_stream_modulation_img.lin.weight": (18432, 3072),
    "single_stream_modulation.lin.weight": (9216, 3072),
    "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
}
CHROMA: Final = {
    "img_in.weight": (3072, 64),
    "distilled_guidance_layer.in_proj.weight": (5120, 64),
    "distilled_guidance_layer.in_proj.bias": (5120,),
    "double_blocks.0.img_attn.qkv.weight": (9216, 3072),
    "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
}
Z_IMAGE: Final = {
    "x_embedder.weight": (3840, 64),
    "cap_embedder.0.weight": (2560,),
    "layers.0.adaLN_modulation.0.weight": (15360, 256),
    "layers.0.attention.qkv.weight": (11520, 3840),
    "noise_refiner.0.attention.qkv.weight": (11520, 3840),
}
QWEN_IMAGE: Final = {
    "img_in.weight": (3072, 64),
    "txt_norm.weight": (3584,),
    "txt_in.weight": (3072, 3584),
    "transformer_blocks.0.img_mlp.net.0.proj.weight": (12288, 3072),
    "transformer_blocks.0.attn.add_k_proj.weight": (3072, 3072),
}
LUMINA2: Final = {
    "x_embedder.weight": (2304, 64),
    "cap_embedder.0.weight": (2304,),
    "layers.0.adaLN_modulation.1.weight": (9216, 1024),
    "layers.0.attention.qkv.weight": (3840, 2304),
}
SANA: Final = {
    "x_embedder.proj.weight": (2240, 32, 1, 1),
    "t_block.1.weight": (13440, 2240),
    "blocks.0.cross_attn.q_linear.weight": (2240, 2240),
    "blocks.0.cross_attn.kv_linear.weight": (4480, 2240),
    "blocks.0.mlp.inverted_conv.conv.weight": (11200, 2240, 1, 1),
}
PIXART: Final = {
    "x_embedder.proj.weight": (1152, 4, 2, 2),
    "t_block.1.weight": (6912, 1152),
    "y_embedder.y_embedding": (300, 4096),
    "blocks.0.cross_attn.q_linear.weight": (1152, 1152),
    "blocks.0.mlp.fc1.weight": (4608, 1152),
}
AURAFLOW: Final = {
    "register_tokens": (1, 8, 3072),
    "cond_seq_linear.weight": (3072, 2048),
    "t_embedder.mlp.0.weight": (3072, 256),
    "double_layers.0.attn.w1q.weight": (3072, 3072),
    "double_layers.0.attn.w2q.weight": (3072, 3072),
}
KANDINSKY: Final = {
    "conv_in.weight": (384, 4, 3, 3),
    "time_embedding.linear_1.weight": (1536, 384),
    "add_embedding.image_norm.weight": (1536,),
    "encoder_hid_proj.image_embeds.weight": (7680, 1280),
}
CASCADE: Final = {
    "clip_txt_mapper.weight": (2048, 1280),
    "down_blocks.0.0.channelwise.0.weight": (8192, 2048),
}
HIDREAM: Final = {
    "x_embedder.proj.weight": (2560, 64),
    "double_stream_blocks.0.block.adaLN_modulation.1.bias": (30720,),
}
WAN: Final = {
    "patch_embedding.weight": (1536, 16, 1, 2, 2),
    "head.modulation": (1, 2, 1536),
}

KOHYA: Final = {
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj.alpha": (),
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (16, 768),
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight": (768, 16),
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.alpha": (),
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (
        16, 768),
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight": (
        320, 16),
}  # fmt: skip
KOHYA_SDXL: Final = {
    "lora_te2_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (32, 1280),
    "lora_te2_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight": (1280, 32),
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight": (32, 2048),
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_up.weight": (640, 32),
}
LOCON: Final = KOHYA | {
    "lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight": (16, 320, 3, 3),
    "lora_unet_down_blocks_0_resnets_0_conv1.lora_up.weight": (320, 16, 1, 1),
}
_LAYER: Final = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
PEFT_FLUX: Final = {
    "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight": (16, 3072),
    "transformer.single_transformer_blocks.0.attn.to_q.lora_B.weight": (3072, 16),
    "transformer.transformer_blocks.0.attn.to_q.lora_A.weight": (16, 3072),
    "transformer.transformer_blocks.0.attn.to_q.lora_B.weight": (3072, 16),
}
OLD_DIFFUSERS: Final = {
    "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora.down.weight":
        (4, 768),
    "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora.up.weight":
        (320, 4),
}  # fmt: skip


def lycoris(**tensors: Shape) -> Names:
    """One layer's tensors, as LyCORIS names them; `__` stands for a dot."""
    return {f"{_LAYER}.{name.replace('__', '.')}": shape for name, shape in tensors.items()}
