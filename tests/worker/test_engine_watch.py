"""A worker without an engine is of no use, and says so by stopping."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.toy_runner import WAIT_S, ToyRunner, ask, wait_until
from webapp.embedded.worker_health import default_node, read_health
from worker import engine_watch
from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.engine.errors import DeviceLost, EngineFailed
from worker.engine_watch import HANGS_S, start_watch
from worker.health import main, trouble_of

NODE = default_node()


@pytest.fixture
def runner() -> ToyRunner:
    return ToyRunner()


@pytest.fixture
def engine(runner: ToyRunner) -> Iterator[Engine]:
    engine = Engine(runner, EngineConfig())
    yield engine
    runner.is_free = True
    engine.close()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[dict[str, str]]:
    """Why the worker was to end."""
    told: list[dict[str, str]] = []
    monkeypatch.setenv("DARKROOM_VAR", str(tmp_path))
    monkeypatch.setattr(engine_watch, "LOOK_S", 0.01)
    monkeypatch.setattr(engine_watch, "_last_word", threading.Event())
    monkeypatch.setattr(engine_watch, "end_worker", lambda **why: told.append(why))
    return told


def test_a_worker_whose_engine_dies_stops_and_lets_nobody_wait(
    engine: Engine, runner: ToyRunner, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr(engine, "_decode_one", refuse)
    engine.start()
    start_watch(engine, node=NODE)
    wait_until(lambda: read_health(NODE) is not None)
    assert not told, "an engine that lives stops nothing"
    runner.is_free = True
    error = engine.submit(ask("one", steps=20)).exception(WAIT_S)
    assert type(error) is EngineFailed
    wait_until(lambda: bool(told))
    (why,) = told
    assert why["code"] == f"engine_failed:{NODE}"
    assert why["sentence"].startswith(f"The engine of worker {NODE} ended because of an unexpected")
    assert why["detail"] == "RuntimeError: a defect of ours"


def test_a_panic_that_is_no_exception_of_pythons_own_kind_ends_the_engine_too(
    engine: Engine, runner: ToyRunner, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Rust's libraries raise it: tokenizers and safetensors."""

    class PanicException(BaseException):
        pass

    def panic(_request: Any) -> Any:
        raise PanicException("called `Option::unwrap()` on a `None` value")

    monkeypatch.setattr(runner, "begin", panic)
    engine.start()
    start_watch(engine, node=NODE)
    assert type(engine.submit(ask("one")).exception(WAIT_S)) is EngineFailed
    wait_until(lambda: bool(told))


def test_a_lost_device_is_told_by_its_own_code(
    engine: Engine, runner: ToyRunner, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_batch: Any, **_named: Any) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(runner, "step", lose)
    engine.start()
    start_watch(engine, node=NODE)
    assert type(engine.submit(ask("one")).exception(WAIT_S)) is DeviceLost
    wait_until(lambda: bool(told))
    assert told[0]["code"] == f"device_lost:{NODE}"
    wait_until(lambda: "It can't draw. The worker's device stopped working." in trouble_of(NODE))


def test_an_engine_that_was_closed_is_no_reason_to_stop(engine: Engine, told: list[Any]) -> None:
    engine.start()
    watch = threading.Thread(target=engine_watch.watch, args=[engine, NODE])
    watch.start()
    engine.close()
    watch.join(WAIT_S)
    assert not watch.is_alive()
    assert not told
    assert trouble_of(NODE) == "It can't draw. It was stopped."


def test_a_device_that_answers_no_more_ends_the_worker_after_half_an_hour(
    engine: Engine, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled_s = [HANGS_S - 1]
    monkeypatch.setattr(engine, "stalled_s", lambda: stalled_s[0])
    engine.start()
    start_watch(engine, node=NODE)
    wait_until(lambda: trouble_of(NODE) == "Its engine has not moved for 1799 seconds.")
    assert not told
    stalled_s[0] = HANGS_S + 1
    wait_until(lambda: bool(told))
    assert told[0]["code"] == f"engine_hangs:{NODE}"
    assert "has not answered for 30 minutes" in told[0]["sentence"]


def test_the_health_check_is_content_while_a_large_model_loads(
    engine: Engine,
    runner: ToyRunner,
    told: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    loaded, loading = threading.Event(), threading.Event()
    load = runner.make_resident

    def load_slowly(model: Any) -> None:
        loading.set()
        loaded.wait(WAIT_S)
        load(model)

    monkeypatch.setattr(runner, "make_resident", load_slowly)
    assert main([NODE]) == 1
    engine.start()
    start_watch(engine, node=NODE)
    engine.submit(ask("one"))
    assert loading.wait(WAIT_S)
    wait_until(lambda: (health := read_health(NODE)) is not None and health.stalled_s > 0.05)
    assert main([NODE]) == 0
    loaded.set()
    assert capsys.readouterr().out.splitlines() == [
        f"{NODE}: It hasn't started yet, runs on another machine, or writes to another"
        " DARKROOM_VAR.",
        f"{NODE}: The engine is well.",
    ]


def test_a_disk_that_takes_no_note_of_it_costs_the_engine_nothing(
    engine: Engine,
    runner: ToyRunner,
    told: list[Any],
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").write_text("a file in the folder's place")
    monkeypatch.setenv("DARKROOM_VAR", str(tmp_path / "file"))
    engine.start()
    start_watch(engine, node=NODE)
    runner.is_free = True
    assert engine.submit(ask("one")).result(WAIT_S).request_id == "one"
    assert not told
