"""Requests share calls and take turns, and what fails fails alone."""

from tests.engine.toy_runner import (
    MODEL,
    OTHER,
    PLAIN,
    WAIT_S,
    ToyRunner,
    ask,
    error_of,
    wait_until,
)
from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.engine.errors import (
    Cancelled,
    EngineError,
    ModelUnavailable,
    OutOfMemory,
)
from worker.engine.request import ModelSource, Progress


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
