"""The engine keeps its promises whatever the runner and the listeners do."""

import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from tests.engine.toy_runner import OTHER, WAIT_S, ToyRunner, ask, error_of, wait_until
from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.engine.errors import (
    Cancelled,
    EngineError,
    EngineFailed,
    EngineStopped,
    InvalidRequest,
)
from worker.engine.request import Progress, StartImage


def test_a_request_comes_back_as_a_picture_with_its_waiting_time(
    engine: Engine, runner: ToyRunner
) -> None:
    runner.is_free = True
    future = engine.submit(ask("one"))
    time.sleep(0.02)
    engine.start()
    image = future.result(WAIT_S)
    assert image.request_id == "one"
    assert image.timings.wait_s >= 0.02


def test_progress_names_every_stage_and_step_in_order(engine: Engine, runner: ToyRunner) -> None:
    runner.is_free = True
    seen: list[Progress] = []
    engine.start()
    engine.submit(ask("one", steps=2), on_progress=seen.append).result(WAIT_S)
    told = [(progress.stage, progress.step) for progress in seen if not progress.preview]
    assert told == [
        ("waiting", 0),
        ("loading", 0),
        ("encoding", 0),
        ("denoising", 0),
        ("denoising", 1),
        ("denoising", 2),
        ("decoding", 2),
    ]


def test_cancelling_a_running_request_is_seen_within_one_step(
    engine: Engine, runner: ToyRunner
) -> None:
    engine.start()
    future = engine.submit(ask("one", steps=50))
    runner.allow(3)
    wait_until(lambda: runner.steps_done == 3)
    assert engine.cancel("one")
    runner.allow(47)
    assert isinstance(error_of(future), Cancelled)
    assert runner.steps_done <= 4


def test_cancelling_a_waiting_request_never_starts_it(engine: Engine, runner: ToyRunner) -> None:
    engine.start()
    first = engine.submit(ask("first"))
    wait_until(lambda: runner.order == ["first"])
    second = engine.submit(ask("second"))  # the engine is busy with a call
    assert engine.cancel("second")
    assert isinstance(error_of(second), Cancelled)
    runner.is_free = True
    first.result(WAIT_S)
    engine.drain(timeout_s=WAIT_S)
    assert runner.order == ["first"]


def test_cancelling_twice_or_a_stranger_says_no(engine: Engine) -> None:
    engine.submit(ask("one"))
    assert engine.cancel("one")
    assert not engine.cancel("one")
    assert not engine.cancel("nobody")


def test_a_cancel_during_the_last_step_still_cancels(engine: Engine, runner: ToyRunner) -> None:
    runner.is_deaf = True
    engine.start()
    future = engine.submit(ask("one", steps=1))
    wait_until(lambda: runner.order == ["one"])
    assert engine.cancel("one")
    runner.allow(1)
    assert isinstance(error_of(future), Cancelled)


def test_one_bad_request_fails_alone(engine: Engine, runner: ToyRunner) -> None:
    runner.is_free = True
    futures = [engine.submit(ask(name, prompt=name)) for name in ("before", "bad", "after")]
    engine.start()
    assert futures[0].result(WAIT_S).request_id == "before"
    assert futures[2].result(WAIT_S).request_id == "after"
    error = error_of(futures[1])
    assert type(error) is EngineError
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert "ZeroDivisionError" not in error.sentence


def test_a_listener_that_raises_does_not_harm_the_picture(
    engine: Engine, runner: ToyRunner
) -> None:
    def listener(_progress: Progress) -> None:
        raise OSError("the listener is broken")

    runner.is_free = True
    engine.start()
    assert engine.submit(ask("one"), on_progress=listener).result(WAIT_S)


def test_a_listener_may_cancel_and_look_without_a_deadlock(
    engine: Engine, runner: ToyRunner
) -> None:
    def listener(progress: Progress) -> None:
        outsider = threading.Thread(target=engine.snapshot)
        outsider.start()
        outsider.join(WAIT_S)
        assert not outsider.is_alive()
        if progress.step == 2:
            engine.cancel(progress.request_id)

    runner.is_free = True
    engine.start()
    assert isinstance(error_of(engine.submit(ask("one"), on_progress=listener)), Cancelled)


def test_draining_lets_a_nearly_finished_picture_finish_and_fails_the_rest(
    engine: Engine, runner: ToyRunner
) -> None:
    engine.start()
    running = engine.submit(ask("running", steps=4))
    waiting = engine.submit(ask("waiting", model=OTHER))
    runner.allow(3)
    wait_until(lambda: runner.steps_done == 3)
    threading.Timer(0.05, runner.allow, [1]).start()
    engine.drain(timeout_s=WAIT_S)
    assert running.result(0).request_id == "running"
    assert isinstance(error_of(waiting), EngineStopped)


def test_draining_stops_a_picture_that_cannot_finish_in_time(
    engine: Engine, runner: ToyRunner
) -> None:
    runner.is_free, runner.call_s = True, 0.005
    engine.start()
    future = engine.submit(ask("long", steps=100_000))
    wait_until(lambda: runner.steps_done > 1)
    began = time.monotonic()
    engine.drain(timeout_s=WAIT_S)
    assert isinstance(error_of(future), EngineStopped)
    assert time.monotonic() - began < WAIT_S / 2


def test_a_runner_that_never_returns_still_leaves_no_future_open(
    engine: Engine, runner: ToyRunner
) -> None:
    runner.is_deaf = True
    engine.start()
    future = engine.submit(ask("stuck"))
    wait_until(lambda: runner.order == ["stuck"])
    engine.drain(timeout_s=0.05)
    assert isinstance(future.exception(timeout=0), EngineStopped)
    runner.allow(4)  # the late image is dropped without an error
    wait_until(lambda: engine.snapshot().in_flight == ())


def test_every_future_resolves_when_the_engine_closes_under_load(
    engine: Engine, runner: ToyRunner
) -> None:
    runner.is_free = True
    engine.start()
    futures = [engine.submit(ask(str(number), owner=str(number % 7))) for number in range(200)]
    for number in range(0, 200, 3):
        engine.cancel(str(number))
    engine.close()
    assert all(future.done() for future in futures)
    errors = [future.exception() for future in futures]
    assert all(error is None or isinstance(error, Cancelled | EngineStopped) for error in errors)


def test_an_engine_whose_thread_dies_leaves_nobody_waiting(
    engine: Engine, runner: ToyRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an error that nobody expects there."""

    def refuse(*_arguments: object) -> None:
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr(engine, "_decode_one", refuse)
    heard: list[Progress] = []
    futures = [
        engine.submit(ask(name, steps=20), on_progress=heard.append)
        for name in ("one", "two", "three")
    ]
    runner.is_free = True
    engine.start()
    assert [type(error_of(future)) for future in futures] == [EngineFailed] * 3
    with pytest.raises(EngineStopped):
        engine.submit(ask("four"))
    assert engine.stalled_s() == 0.0
    assert engine.ended_by is not None
    assert engine.ended_by.detail == "RuntimeError: a defect of ours"


def test_an_engine_that_was_never_started_closes_with_its_futures_resolved(
    engine: Engine,
) -> None:
    future = engine.submit(ask("one"))
    engine.close()
    assert isinstance(error_of(future), EngineStopped)


def test_a_draining_engine_admits_nothing(engine: Engine) -> None:
    engine.drain(timeout_s=0)
    with pytest.raises(EngineStopped):
        engine.submit(ask("late"))


def test_the_same_request_is_not_taken_twice(engine: Engine) -> None:
    engine.submit(ask("one"))
    with pytest.raises(InvalidRequest, match="already in the engine"):
        engine.submit(ask("one"))


def test_previews_come_while_a_picture_is_denoised_and_never_later(
    runner: ToyRunner,
) -> None:
    runner.is_free, runner.call_s = True, 0.005
    engine = Engine(runner, EngineConfig(preview_every=2))
    engine.start()
    seen: list[Progress] = []
    engine.submit(ask("one", steps=20), on_progress=seen.append).result(WAIT_S)
    engine.close()
    shown = [progress for progress in seen if progress.preview]
    assert all(progress.stage == "denoising" and progress.step < 20 for progress in shown)
    steps = [progress.preview_step for progress in shown]
    assert steps[0] == 0  # the noise
    assert {step % 2 for step in steps if step} == {0}
    assert all(step <= progress.step for step, progress in zip(steps, shown, strict=True) if step)


def test_a_image_of_four_steps_develops_too(runner: ToyRunner) -> None:
    runner.is_free, runner.call_s = True, 0.05
    engine = Engine(runner, EngineConfig(preview_every=3))
    engine.start()
    seen: list[Progress] = []
    engine.submit(ask("one", steps=4), on_progress=seen.append).result(WAIT_S)
    engine.close()
    assert [progress.preview_step for progress in seen if progress.preview] == [0, 1, 2, 3]


def test_the_snapshot_tells_what_runs_what_waits_and_which_model_is_ready(
    engine: Engine, runner: ToyRunner
) -> None:
    assert engine.snapshot().resident_model is None
    engine.start()
    engine.submit(ask("one"))
    engine.submit(ask("two"))
    wait_until(lambda: len(engine.snapshot().in_flight) == 2)
    engine.submit(ask("three"))
    snapshot = engine.snapshot()
    assert snapshot.resident_model == "toy"
    assert (snapshot.in_flight, snapshot.queued) == (("one", "two"), 1)
    runner.allow(1)
    wait_until(lambda: engine.snapshot().rows == 4)
    assert engine.snapshot().row_cap >= 4


def test_stalling_is_measured_from_the_last_step_and_is_zero_when_idle(
    engine: Engine, runner: ToyRunner
) -> None:
    assert engine.stalled_s() == 0.0
    engine.start()
    future = engine.submit(ask("one"))
    wait_until(lambda: engine.stalled_s() > 0.05)
    runner.allow(1)
    wait_until(lambda: engine.stalled_s() < 0.05)
    runner.allow(3)
    future.result(WAIT_S)
    wait_until(lambda: engine.stalled_s() == 0.0)


@pytest.mark.parametrize(
    "changes",
    [{"width_px": 0}, {"steps": 0}, {"guidance_scale": -1.0}, {"guidance_scale": float("nan")},
     {"seed": -1}, {"seed": 2**64}, {"mode": "image"}, {"mode": "inpaint"},
     {"start": StartImage(b"123", 1, 1)}, {"mode": "image", "start": StartImage(b"123", 1, 1)},
     {"mode": "image", "start": StartImage(bytes(3 * 64 * 64), 64, 64), "strength": 0.0},
     {"mode": "upscale", "start": StartImage(bytes(3 * 64 * 64), 64, 64)},
     {"mode": "inpaint", "start": StartImage(bytes(3 * 64 * 64), 64, 64)}],
)  # fmt: skip
def test_a_request_that_can_never_work_is_not_even_built(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        ask("one", **changes)


def test_the_engine_the_settings_and_the_finishing_load_no_deep_learning_library() -> None:
    script = (
        "import sys, worker.config, worker.engine.engine, worker.finishing.encode,"
        " worker.finishing.parameters, worker.pipelines.inspect;"
        "sys.exit(bool({'torch', 'diffusers', 'transformers', 'django'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=300).returncode == 0
