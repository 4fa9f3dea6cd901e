"""The engine keeps its promises whatever the runner and the listeners do."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from tests.engine.toy_runner import MODEL, OTHER, PLAIN, WAIT_S, ToyRunner, ask, wait_until
from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.engine.errors import (
    Cancelled,
    EngineError,
    EngineFailed,
    EngineStopped,
    InvalidRequest,
    ModelUnavailable,
    OutOfMemory,
)
from worker.engine.request import ModelSource, Picture, Progress, RenderedImage


def error_of(future: Future[RenderedImage]) -> BaseException | None:
    return future.exception(timeout=WAIT_S)


@pytest.fixture
def runner() -> ToyRunner:
    return ToyRunner()


@pytest.fixture
def engine(runner: ToyRunner) -> Iterator[Engine]:
    engine = Engine(runner, EngineConfig())
    yield engine
    runner.is_free, runner.is_deaf = True, False
    engine.close()


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
    runner.allow(4)  # the late picture is dropped without a fuss
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


def test_one_persons_forty_images_do_not_delay_anothers_one(
    engine: Engine, runner: ToyRunner
) -> None:
    engine.start()
    for number in range(40):
        engine.submit(ask(f"alice-{number}"))
    wait_until(lambda: len(runner.order) > 1)
    runner.allow(1)
    wait_until(lambda: runner.steps_done == 1)
    bobs = engine.submit(ask("bob", owner="bob"))
    runner.is_free = True
    bobs.result(WAIT_S)
    first = next(number for number, call in enumerate(runner.calls) if "bob" in call)
    assert first <= 2
    assert all("bob" in call for call in runner.calls[first : first + 4])


def test_requests_of_different_people_share_calls_at_different_steps(
    engine: Engine, runner: ToyRunner
) -> None:
    engine.start()
    first = engine.submit(ask("first", steps=5))
    runner.allow(2)
    wait_until(lambda: runner.steps_done == 2)
    second = engine.submit(ask("second", owner="bob", steps=3, sampler="euler"))
    runner.is_free = True
    assert first.result(WAIT_S).rows.most == second.result(WAIT_S).rows.most == 4
    assert runner.calls.count(("first", "second")) + runner.calls.count(("second", "first")) >= 2
    assert runner.calls[:2] == [("first",), ("first",)]


def test_requests_of_different_sizes_take_turns(engine: Engine, runner: ToyRunner) -> None:
    runner.is_free = True
    wide = engine.submit(ask("wide", width_px=128, steps=20))
    narrow = engine.submit(ask("narrow", owner="bob", steps=20))
    engine.start()
    wide.result(WAIT_S)
    narrow.result(WAIT_S)
    assert {len(call) for call in runner.calls} == {1}
    # half the pixels cost half: two calls of the small one for one of the large
    assert 18 <= runner.calls.index(("narrow",)) + runner.calls[:27].count(("narrow",)) <= 21


def test_an_exact_request_shares_no_call(engine: Engine, runner: ToyRunner) -> None:
    runner.is_free = True
    exact = engine.submit(ask("exact", exact=True))
    other = engine.submit(ask("other", owner="bob"))
    engine.start()
    assert exact.result(WAIT_S).rows.most == 2
    other.result(WAIT_S)
    assert {len(call) for call in runner.calls} == {1}


def test_a_request_that_breaks_its_batch_fails_alone_and_the_others_lose_nothing(
    engine: Engine, runner: ToyRunner
) -> None:
    runner.is_free = True
    names = ("before", "poison", "after")
    futures = {n: engine.submit(ask(n, owner=n, prompt=n, guidance_scale=1.0)) for n in names}
    engine.start()
    assert isinstance(error_of(futures["poison"]), EngineError)
    assert futures["before"].result(WAIT_S).request_id == "before"
    assert futures["after"].result(WAIT_S).request_id == "after"
    # every call counted: nobody's step was taken twice
    assert sum("before" in call for call in runner.calls) == 4
    assert ("before", "after") in runner.calls  # and they share calls again


def test_a_request_whose_own_sampler_fails_leaves_the_batch_alone(
    engine: Engine, runner: ToyRunner
) -> None:
    runner.is_free = True
    broken = engine.submit(ask("broken", prompt="broken"))
    sound = engine.submit(ask("sound", owner="bob"))
    engine.start()
    assert isinstance(error_of(broken), EngineError)
    assert sound.result(WAIT_S)
    assert sum("sound" in call for call in runner.calls) == 4


def test_running_out_of_memory_halves_the_calls_and_loses_nothing(
    engine: Engine, runner: ToyRunner
) -> None:
    runner.is_free = True
    runner.memory_rows = 2
    futures = [engine.submit(ask(str(n), owner=str(n))) for n in range(6)]
    engine.start()
    assert all(future.result(WAIT_S) for future in futures)
    assert {len(call) for call in runner.calls} == {1}


def test_a_request_too_large_even_alone_fails_with_out_of_memory(
    engine: Engine, runner: ToyRunner
) -> None:
    runner.is_free = True
    runner.memory_rows = 1
    guided = engine.submit(ask("guided"))
    small = engine.submit(ask("small", owner="bob", guidance_scale=1.0))
    engine.start()
    assert isinstance(error_of(guided), OutOfMemory)
    assert small.result(WAIT_S)


def test_a_picture_that_cannot_be_decoded_fails_alone(engine: Engine, runner: ToyRunner) -> None:
    runner.is_free = True
    black = engine.submit(ask("black", prompt="black"))
    sound = engine.submit(ask("sound"))
    engine.start()
    assert str(error_of(black)) == "Not a picture."
    assert sound.result(WAIT_S)


def test_a_model_that_cannot_be_loaded_fails_its_requests_and_no_others(
    engine: Engine, runner: ToyRunner
) -> None:
    runner.is_free = True
    missing = ModelSource("missing", "sd", "folder", "missing")
    lost = [engine.submit(ask(name, model=missing)) for name in ("one", "two")]
    sound = engine.submit(ask("sound"))
    engine.start()
    assert all(isinstance(error_of(future), ModelUnavailable) for future in lost)
    assert sound.result(WAIT_S)


def test_a_second_model_waits_until_the_first_has_nothing_to_do(
    engine: Engine, runner: ToyRunner
) -> None:
    runner.is_free = True
    futures = [
        engine.submit(ask(str(n), owner=str(n), model=OTHER if n % 2 else MODEL)) for n in range(8)
    ]
    engine.start()
    assert all(future.result(WAIT_S) for future in futures)
    assert runner.loads == ["toy", "other"]


def test_nobody_waits_for_a_model_longer_than_a_turn_and_what_is_parked_goes_on(
    runner: ToyRunner,
) -> None:
    runner.is_free, runner.call_s = True, 0.002
    engine = Engine(runner, EngineConfig(model_turn_s=0.05))
    long = engine.submit(ask("long", steps=200))
    engine.start()
    wait_until(lambda: runner.steps_done > 3)
    quick = engine.submit(ask("quick", owner="bob", model=OTHER))
    quick.result(WAIT_S)
    assert not long.done()
    assert long.result(WAIT_S)
    assert sum(call == ("long",) for call in runner.calls) == 200
    assert runner.loads == ["toy", "other", "toy"]
    engine.close()


def test_two_models_that_fit_are_both_kept_and_take_turns(
    engine: Engine, runner: ToyRunner
) -> None:
    runner.is_free, runner.room = True, 2
    futures = [
        engine.submit(ask(str(n), owner=str(n), model=OTHER if n % 2 else MODEL)) for n in range(8)
    ]
    engine.start()
    assert all(future.result(WAIT_S) for future in futures)
    assert sorted(runner.loads) == ["other", "toy"]
    assert set(engine.snapshot().gauges.resident) == {"toy", "other"}


def test_a_family_without_steps_is_rendered_whole_and_can_be_cancelled(
    engine: Engine, runner: ToyRunner
) -> None:
    engine.start()
    seen: list[Progress] = []
    future = engine.submit(ask("plain", model=PLAIN, steps=50), on_progress=seen.append)
    runner.allow(3)
    wait_until(lambda: runner.steps_done == 3)
    assert engine.snapshot().in_flight == ("plain",)
    assert engine.cancel("plain")
    assert isinstance(error_of(future), Cancelled)
    runner.is_free = True
    image = engine.submit(ask("again", model=PLAIN)).result(WAIT_S)
    assert image.request_id == "again"
    assert [progress.stage for progress in seen[:4]] == [
        "waiting", "loading", "encoding", "denoising",
    ]  # fmt: skip


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


def test_a_picture_of_four_steps_develops_too(runner: ToyRunner) -> None:
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
     {"start": Picture(b"123", 1, 1)}, {"mode": "image", "start": Picture(b"123", 1, 1)},
     {"mode": "image", "start": Picture(bytes(3 * 64 * 64), 64, 64), "strength": 0.0},
     {"mode": "upscale", "start": Picture(bytes(3 * 64 * 64), 64, 64)},
     {"mode": "inpaint", "start": Picture(bytes(3 * 64 * 64), 64, 64)}],
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
