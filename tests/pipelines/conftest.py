"""Real diffusers pipelines, tiny and with random weights, built once per session."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.tiny import (
    TEXT_WIDTH,
    build_tiny_stable_diffusion,
    build_tiny_tokenizer,
    build_tiny_vae,
    stable_diffusion_scheduler,
    tiny_text_config,
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads and suffer where the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion in diffusers format, native size 128x128 px."""
    return build_tiny_stable_diffusion(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_sdxl_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion XL in diffusers format."""
    path = tmp_path_factory.mktemp("models") / "tiny-xl"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _build_sdxl().save_pretrained(path)
    return path


@pytest.fixture
def engine() -> Iterator[Engine]:
    config = EngineConfig(device="cpu", threads=1, preview_every=2)
    engine = Engine(DiffusersRunner(config), config)
    engine.start()
    yield engine
    engine.close()


def _build_sdxl() -> StableDiffusionXLPipeline:
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
