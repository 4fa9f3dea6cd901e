"""Real diffusers pipelines, tiny and with random weights, built once per session."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.pipelines.fixtures import tiny_model_dir
from tests.pipelines.tiny_models import build_tiny_flux, build_tiny_sdxl
from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.pipelines.runner import DiffusersRunner

__all__ = ["tiny_model_dir"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads and suffer when the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_sdxl_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion XL in diffusers format."""
    return build_tiny_sdxl(tmp_path_factory.mktemp("models") / "tiny-xl")


@pytest.fixture(scope="session")
def tiny_flux_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Flux in diffusers format."""
    return build_tiny_flux(tmp_path_factory.mktemp("models") / "tiny-flux")


@pytest.fixture
def engine() -> Iterator[Engine]:
    config = EngineConfig(device="cpu", threads=1, preview_every=2)
    engine = Engine(DiffusersRunner(config), config)
    engine.start()
    yield engine
    engine.close()
