"""A worker without an engine is of no use, and says so by stopping."""

import signal
import threading
import time
from typing import Any

import pytest

from tests.engine.toy_runner import WAIT_S, ToyRunner, ask, wait_until
from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.engine.errors import EngineStopped
from worker.tasks import stop_without


def test_a_worker_whose_engine_dies_stops_and_lets_nobody_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> Any:
        raise RuntimeError("a defect of ours")

    asked_at: list[float] = []
    before = signal.signal(signal.SIGTERM, lambda *_: asked_at.append(time.monotonic()))
    try:
        runner = ToyRunner()
        engine = Engine(runner, EngineConfig())
        monkeypatch.setattr(engine, "_decode_one", refuse)
        engine.start()
        watch = threading.Thread(target=stop_without, args=(engine,))
        watch.start()
        assert not asked_at, "an engine that lives stops nothing"
        runner.is_free = True
        future = engine.submit(ask("one", steps=20), on_progress=lambda _progress: None)
        assert isinstance(future.exception(WAIT_S), EngineStopped)
        wait_until(lambda: bool(asked_at))
        watch.join(WAIT_S)
    finally:
        signal.signal(signal.SIGTERM, before)
