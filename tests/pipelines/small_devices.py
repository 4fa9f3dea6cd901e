"""Runners whose device has little room, and models to draw with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.pipelines.drawing import ask
from tests.pipelines.tiny_chat_models import CHAT_MODELS, words_for
from tests.pipelines.tiny_transformers import build_tiny_flux, build_tiny_sd3
from worker.config import EngineConfig, Weights
from worker.engine.request import ImageRequest
from worker.pipelines.fitting import Manner, Room, needs_of
from worker.pipelines.loader import LoadedModel
from worker.pipelines.residency import Budget, ResidentModels
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.sizes import measure

DEVICE = torch.device("cpu")
PLENTY = 10**9


@pytest.fixture(params=["sd", "sdxl", "sd3", "flux", *CHAT_MODELS])
def request_of(
    request: pytest.FixtureRequest, tiny_model_dir: Path, tiny_sdxl_dir: Path, tmp_path: Path
) -> Callable[..., ImageRequest]:
    """Asks a tiny model of the family."""
    flow: dict[str, Any] = {"sampler": "flow_euler"}
    made: dict[str, Callable[[], tuple[Path, dict[str, Any]]]] = {
        "sd": lambda: (tiny_model_dir, {}),
        "sdxl": lambda: (tiny_sdxl_dir, {}),
        "sd3": lambda: (build_tiny_sd3(tmp_path / "sd3"), flow),
        "flux": lambda: (build_tiny_flux(tmp_path / "flux"), flow | words_for("flux")),
    }
    if build := CHAT_MODELS.get(request.param):
        path, asked = build(tmp_path / request.param), flow | words_for(request.param)
    else:
        path, asked = made[request.param]()
    return lambda **changes: ask(path, family=request.param, **(asked | changes))


def runner_with(room: Room, *, weights: Weights = "auto", host: int = PLENTY) -> DiffusersRunner:
    """A runner whose device has that much room."""
    config = EngineConfig(device="cpu", preview_every=0, weights=weights)
    runner = DiffusersRunner(config)
    runner._models = ResidentModels(
        config,
        DEVICE,
        budget=Budget(PLENTY, host),
        room=lambda: room,
        on_leave=runner._model_leaves,
    )
    return runner


def whole_runner(request: ImageRequest) -> DiffusersRunner:
    """A runner with the whole model on its device, aligned as device memory is: a CPU's last bits
    depend on how a file lay in memory."""
    runner = DiffusersRunner(EngineConfig(device="cpu", preview_every=0))
    loaded(runner, request).wait_beside()
    return runner


def room_for(manner: Manner, request: ImageRequest) -> Room:
    """Just enough for that manner, and images."""
    needed = needs_of(measure(Path(request.model.location)), 4)[manner]
    return Room(PLENTY, int((needed + 4096) / 0.85), PLENTY)


def loaded(runner: DiffusersRunner, request: ImageRequest) -> LoadedModel:
    runner.make_resident(request.model)
    return runner._models.resident(request.model)


def unet_lora(runner: DiffusersRunner, request: ImageRequest, folder: Path) -> Path:
    """A small random LoRA of one layer of the U-Net."""
    unet = loaded(runner, request).pipeline.unet
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_q"
    width = unet.get_submodule(layer).weight.shape
    generator = torch.Generator().manual_seed(1)
    tensors = {
        f"unet.{layer}.lora_A.weight": torch.randn(4, width[1], generator=generator),
        f"unet.{layer}.lora_B.weight": torch.randn(width[0], 4, generator=generator),
    }
    path = folder / "lora.safetensors"
    save_file(tensors, path)
    return path
