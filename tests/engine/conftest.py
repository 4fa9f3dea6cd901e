"""An engine that has not begun, and the toy that it runs."""

from collections.abc import Iterator

import pytest

from tests.engine.toy_runner import ToyRunner
from worker.config import EngineConfig
from worker.engine.engine import Engine


@pytest.fixture
def runner() -> ToyRunner:
    return ToyRunner()


@pytest.fixture
def engine(runner: ToyRunner) -> Iterator[Engine]:
    engine = Engine(runner, EngineConfig())
    yield engine
    runner.is_free, runner.is_deaf = True, False
    engine.close()
