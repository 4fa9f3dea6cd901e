"""Tiny random-weight models of pipelines that are drawn whole, made of diffusers' own classes."""

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

from diffusers import (
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    ChromaPipeline,
    ChromaTransformer2DModel,
    DDPMScheduler,
    DDPMWuerstchenScheduler,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    HiDreamImagePipeline,
    HiDreamImageTransformer2DModel,
    KandinskyV22CombinedPipeline,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    PixArtAlphaPipeline,
    PixArtSigmaPAGPipeline,
    PriorTransformer,
    SanaPAGPipeline,
    StableCascadeCombinedPipeline,
    StableCascadeUNet,
    StableDiffusion3PAGPipeline,
    StableDiffusionPAGPipeline,
    StableDiffusionXLPAGPipeline,
    UnCLIPScheduler,
    UNet2DConditionModel,
    VQModel,
)
from diffusers.pipelines.deprecated.wuerstchen.modeling_paella_vq_model import PaellaVQModel
from torch import nn
from transformers import (
    CLIPImageProcessor,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    LlamaConfig,
    LlamaForCausalLM,
    UMT5Config,
    UMT5EncoderModel,
)

from tests.pipelines import tiny_others, tiny_transformers
from tests.pipelines.tiny_chat_models import chat_tokenizer
from tests.pipelines.tiny_models import build_tiny_sdxl, build_variant
from tests.pipelines.tiny_transformers import (
    LATENT_CHANNELS,
    T5_WIDTH,
    build,
    listening,
    t5_tokenizer,
    tiny_t5,
    tiny_vae,
)
from worker.pipelines.tiny import (
    TEXT_WIDTH,
    build_tiny_stable_diffusion,
    build_tiny_tokenizer,
    build_tiny_vae,
    stable_diffusion_scheduler,
    tiny_text_config,
)

_EMBEDDING = 16  # of a Stable Cascade's first stage
_HEADED = {"attention_head_dim": 8, "num_attention_heads": 4}


def _as(pipeline_class: Any, make: Callable[[], Any]) -> Callable[[Path], Path]:
    """Writes the parts of what `make` makes as a pipeline of that class."""

    def made() -> Any:
        wanted = signature(pipeline_class.__init__).parameters
        parts = make().components
        return pipeline_class(**{name: parts[name] for name in parts if name in wanted})

    return lambda path: build(made, path)


def _built(make: Callable[[], DiffusionPipeline]) -> Callable[[Path], Path]:
    return lambda path: build(make, path)


def _sd_pag(path: Path) -> Path:
    plain = build_tiny_stable_diffusion(path.with_name("plain"))
    return build_variant(plain, path, pipeline_class=StableDiffusionPAGPipeline.__name__)


def _sdxl_pag(path: Path) -> Path:
    plain = build_tiny_sdxl(path.with_name("plain"))
    return build_variant(plain, path, pipeline_class=StableDiffusionXLPAGPipeline.__name__)


def _aura_flow() -> DiffusionPipeline:
    encoder = UMT5Config(
        vocab_size=len(t5_tokenizer()), d_model=T5_WIDTH, d_kv=8, d_ff=64, num_layers=2, num_heads=4
    )
    transformer = AuraFlowTransformer2DModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        joint_attention_dim=T5_WIDTH,
        caption_projection_dim=32,
        pos_embed_max_size=256,
        **_HEADED,
    )
    return AuraFlowPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=UMT5EncoderModel(encoder),
        vae=tiny_vae(),
        transformer=listening(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.73),
    )


def _chroma() -> DiffusionPipeline:
    transformer = ChromaTransformer2DModel(
        in_channels=4 * LATENT_CHANNELS,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=T5_WIDTH,
        axes_dims_rope=(4, 4, 8),
        approximator_num_channels=8,
        approximator_hidden_dim=16,
        approximator_layers=1,
    )
    return ChromaPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=tiny_t5(),
        vae=tiny_vae(),
        transformer=listening(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )


def _hidream() -> DiffusionPipeline:
    tokenizer = build_tiny_tokenizer()
    text_config = tiny_text_config(tokenizer)
    text_config.update({"max_position_embeddings": 248})
    transformer = HiDreamImageTransformer2DModel(
        patch_size=2,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_layers=1,
        num_single_layers=1,
        caption_channels=[T5_WIDTH, 16],
        text_emb_dim=2 * TEXT_WIDTH,
        axes_dims_rope=(4, 2, 2),
        llama_layers=(0, 1),
        force_inference_output=True,
        **_HEADED,
    )
    llama = LlamaConfig(
        vocab_size=len(chat_tokenizer()),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        bos_token_id=None,
        eos_token_id=0,
    )
    return HiDreamImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=tiny_vae(),
        text_encoder=CLIPTextModelWithProjection(text_config),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(text_config),
        tokenizer_2=tokenizer,
        text_encoder_3=tiny_t5(),
        tokenizer_3=t5_tokenizer(),
        text_encoder_4=LlamaForCausalLM(llama),
        tokenizer_4=chat_tokenizer(),
        transformer=listening(transformer),
    )


def _lcm() -> DiffusionPipeline:
    tokenizer = build_tiny_tokenizer()
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=8,
        cross_attention_dim=TEXT_WIDTH,
        time_cond_proj_dim=32,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    return LatentConsistencyModelPipeline(
        vae=build_tiny_vae(),
        text_encoder=CLIPTextModel(tiny_text_config(tokenizer)),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=LCMScheduler.from_config(stable_diffusion_scheduler().config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _cascade() -> DiffusionPipeline:
    tokenizer = build_tiny_tokenizer()
    plain = ("SDCascadeResBlock", "SDCascadeTimestepBlock")
    attending = (*plain, "SDCascadeAttnBlock")
    words = {
        "conditioning_dim": 32,
        "clip_text_pooled_in_channels": TEXT_WIDTH,
        "timestep_ratio_embedding_dim": 16,
    }
    decoder = StableCascadeUNet(
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        num_attention_heads=(-1, 2),
        down_num_layers_per_block=(1, 1),
        up_num_layers_per_block=(1, 1),
        block_types_per_layer=(plain, attending),
        effnet_in_channels=_EMBEDDING,
        **words,
    )
    prior = StableCascadeUNet(
        in_channels=_EMBEDDING,
        out_channels=_EMBEDDING,
        block_out_channels=(32, 32),
        num_attention_heads=(2, 2),
        down_num_layers_per_block=(1, 1),
        up_num_layers_per_block=(1, 1),
        block_types_per_layer=(attending, attending),
        clip_text_in_channels=TEXT_WIDTH,
        clip_image_in_channels=TEXT_WIDTH,
        switch_level=(False,),
        **words,
    )
    return StableCascadeCombinedPipeline(
        tokenizer=tokenizer,
        text_encoder=CLIPTextModelWithProjection(tiny_text_config(tokenizer)),
        decoder=decoder,
        scheduler=DDPMWuerstchenScheduler(),
        vqgan=PaellaVQModel(bottleneck_blocks=1, embed_dim=16, num_vq_embeddings=8),
        prior_prior=prior,
        prior_text_encoder=CLIPTextModelWithProjection(tiny_text_config(tokenizer)),
        prior_tokenizer=tokenizer,
        prior_scheduler=DDPMWuerstchenScheduler(),
    )


def _kandinsky22() -> DiffusionPipeline:
    tokenizer = build_tiny_tokenizer()
    unet = UNet2DConditionModel(
        in_channels=4,
        out_channels=8,  # a mean and a variance
        addition_embed_type="image",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        block_out_channels=(32, 64),
        layers_per_block=1,
        encoder_hid_dim=TEXT_WIDTH,
        encoder_hid_dim_type="image_proj",
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=8,
        resnet_time_scale_shift="scale_shift",
    )
    movq = VQModel(
        block_out_channels=(32, 32, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_type="spatial",
        num_vq_embeddings=12,
        vq_embed_dim=4,
    )
    prior = PriorTransformer(
        num_attention_heads=2, attention_head_dim=12, num_layers=1, embedding_dim=TEXT_WIDTH
    )
    nn.init.ones_(prior.clip_std)
    eyes = CLIPVisionConfig(
        hidden_size=32,
        projection_dim=TEXT_WIDTH,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
    )
    return KandinskyV22CombinedPipeline(
        unet=unet,
        scheduler=DDPMScheduler(
            beta_schedule="linear",
            beta_start=0.00085,
            beta_end=0.012,
            prediction_type="epsilon",
            variance_type="learned_range",
            clip_sample=False,
            thresholding=False,
        ),
        movq=movq,
        prior_prior=prior,
        prior_image_encoder=CLIPVisionModelWithProjection(eyes),
        prior_text_encoder=CLIPTextModelWithProjection(tiny_text_config(tokenizer)),
        prior_tokenizer=tokenizer,
        prior_scheduler=UnCLIPScheduler(
            variance_type="fixed_small_log",
            prediction_type="sample",
            clip_sample=True,
            clip_sample_range=5.0,
        ),
        prior_image_processor=CLIPImageProcessor(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
        ),
    )


# Class of the pipeline -> what writes a tiny one to a folder.
WHOLES: dict[str, Callable[[Path], Path]] = {
    "PixArtAlphaPipeline": _as(PixArtAlphaPipeline, tiny_transformers._pixart),
    "PixArtSigmaPipeline": tiny_transformers.build_tiny_pixart,
    "PixArtSigmaPAGPipeline": _as(PixArtSigmaPAGPipeline, tiny_transformers._pixart),
    "SanaPipeline": tiny_others.build_tiny_sana,
    "SanaPAGPipeline": _as(SanaPAGPipeline, tiny_others._sana),
    "Lumina2Pipeline": tiny_others.build_tiny_lumina2,
    "ChromaPipeline": _built(_chroma),
    "AuraFlowPipeline": _built(_aura_flow),
    "KandinskyV22CombinedPipeline": _built(_kandinsky22),
    "HiDreamImagePipeline": _built(_hidream),
    "LatentConsistencyModelPipeline": _built(_lcm),
    "StableCascadeCombinedPipeline": _built(_cascade),
    "StableDiffusionPAGPipeline": _sd_pag,
    "StableDiffusionXLPAGPipeline": _sdxl_pag,
    "StableDiffusion3PAGPipeline": _as(
        StableDiffusion3PAGPipeline, lambda: tiny_transformers._sd3(False, True)
    ),
}
