"""The one tiny model of these tests, offered under the slug `tiny`, and a desk of this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.people import make_model
from tests.pipelines.fixtures import tiny_model_dir as tiny_model_dir
from webapp.catalog.models import DiffusionModel
from webapp.generation.queueing import serving
from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.pipelines.runner import DiffusersRunner
from worker.tasks import Desk


@pytest.fixture
def tiny(transactional_db: None, tiny_model_dir: Path) -> DiffusionModel:
    """A model on offer that draws: 64 to 256 px a side."""
    return make_model(location=str(tiny_model_dir))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """A real engine on one thread, without previews."""
    config = EngineConfig(device="cpu", threads=1, preview_every=0)
    engine = Engine(DiffusersRunner(config), config)
    engine.start()
    yield engine
    engine.close()


@pytest.fixture
def desk(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """It claims one image at a time."""
    monkeypatch.setattr(serving, "_served", (0.0, []))  # another test's models
    return Desk(engine, name="this-process", slots=1)
