"""The engine keeps its promises whatever the runner and the listeners do."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.engine.errors import Cancelled, EngineError, EngineStopped, InvalidRequest
from worker.engine.request import ImageRequest, ModelSource, Progress, RenderedImage, Stage, Timings
from worker.engine.runner import OnStep, ShouldStop

WAIT_S = 5.0
MODEL = ModelSource("toy", "sd", "folder", "toy")
BEFORE_STEPS: tuple[Stage, ...] = ("loading", "encoding", "denoising")


class SteppedRunner:
    """Renders one step each time the test allows it; the prompt "bad" raises.

    `is_free`: needs no permission. `is_deaf`: does not listen to should_stop.
    """

    def __init__(self) -> None:
        self.is_free = False
        self.is_deaf = False
        self.order: list[str] = []
        self.steps_done = 0
        self._permissions = threading.Semaphore(0)

    def allow(self, steps: int) -> None:
        self._permissions.release(steps)

    def render(
        self, request: ImageRequest, *, on_step: OnStep, should_stop: ShouldStop
    ) -> RenderedImage:
        self.order.append(request.request_id)
        if request.prompt == "bad":
            raise ZeroDivisionError("the prompt says so")
        for stage in BEFORE_STEPS:
            on_step(stage, 0, request.steps, None)
        for step in range(1, request.steps + 1):
            self._await_permission(should_stop)
            self.steps_done += 1
            on_step("denoising", step, request.steps, None)
        return RenderedImage(request.request_id, b"\0\0\0", 1, 1, Timings(load_s=1.0), {})

    def _await_permission(self, should_stop: ShouldStop) -> None:
        while not self.is_free and not self._permissions.acquire(timeout=0.005):
            if should_stop() and not self.is_deaf:
                raise Cancelled
        if should_stop() and not self.is_deaf:
            raise Cancelled


def ask(name: str, *, owner: str = "alice", steps: int = 4, prompt: str = "") -> ImageRequest:
    return ImageRequest(name, owner, MODEL, prompt, "", 64, 64, steps, 7.0, 0, "ddim")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.002)


def error_of(future: Future[RenderedImage]) -> BaseException | None:
    return future.exception(timeout=WAIT_S)


@pytest.fixture
def runner() -> SteppedRunner:
    return SteppedRunner()


@pytest.fixture
def engine(runner: SteppedRunner) -> Iterator[Engine]:
    engine = Engine(runner, EngineConfig())
    yield engine
    runner.is_free, runner.is_deaf = True, False
    engine.close()


def test_a_request_comes_back_as_a_picture_with_its_waiting_time(
    engine: Engine, runner: SteppedRunner
) -> None:
    runner.is_free = True
    future = engine.submit(ask("one"))
    time.sleep(0.02)
    engine.start()
    image = future.result(WAIT_S)
    assert image.request_id == "one"
    assert image.timings.load_s == 1.0
    assert image.timings.wait_s >= 0.02


def test_progress_names_every_stage_and_step_in_order(
    engine: Engine, runner: SteppedRunner
) -> None:
    runner.is_free = True
    seen: list[Progress] = []
    engine.start()
    engine.submit(ask("one", steps=2), on_progress=seen.append).result(WAIT_S)
    assert [(progress.stage, progress.step) for progress in seen] == [
        ("waiting", 0),
        ("loading", 0),
        ("encoding", 0),
        ("denoising", 0),
        ("denoising", 1),
        ("denoising", 2),
    ]


def test_cancelling_a_running_request_is_seen_within_one_step(
    engine: Engine, runner: SteppedRunner
) -> None:
    engine.start()
    future = engine.submit(ask("one", steps=50))
    runner.allow(3)
    wait_until(lambda: runner.steps_done == 3)
    assert engine.cancel("one")
    runner.allow(47)
    assert isinstance(error_of(future), Cancelled)
    assert runner.steps_done <= 4


def test_cancelling_a_waiting_request_never_starts_it(
    engine: Engine, runner: SteppedRunner
) -> None:
    engine.start()
    first = engine.submit(ask("first"))
    wait_until(lambda: runner.order == ["first"])
    second = engine.submit(ask("second"))
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


def test_a_cancel_during_the_last_step_still_cancels(engine: Engine, runner: SteppedRunner) -> None:
    runner.is_deaf = True
    engine.start()
    future = engine.submit(ask("one", steps=1))
    wait_until(lambda: runner.order == ["one"])
    assert engine.cancel("one")
    runner.allow(1)
    assert isinstance(error_of(future), Cancelled)


def test_one_bad_request_fails_alone(engine: Engine, runner: SteppedRunner) -> None:
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
    engine: Engine, runner: SteppedRunner
) -> None:
    def listener(_progress: Progress) -> None:
        raise OSError("the listener is broken")

    runner.is_free = True
    engine.start()
    assert engine.submit(ask("one"), on_progress=listener).result(WAIT_S)


def test_a_listener_may_cancel_and_look_without_a_deadlock(
    engine: Engine, runner: SteppedRunner
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
    engine: Engine, runner: SteppedRunner
) -> None:
    engine.start()
    running = engine.submit(ask("running", steps=4))
    waiting = engine.submit(ask("waiting"))
    runner.allow(3)
    wait_until(lambda: runner.steps_done == 3)
    threading.Timer(0.05, runner.allow, [1]).start()
    engine.drain(timeout_s=WAIT_S)
    assert running.result(0).request_id == "running"
    assert isinstance(error_of(waiting), EngineStopped)


def test_draining_stops_a_picture_that_cannot_finish_in_time(
    engine: Engine, runner: SteppedRunner
) -> None:
    engine.start()
    future = engine.submit(ask("long", steps=100_000))
    runner.allow(1)
    wait_until(lambda: runner.steps_done == 1)
    time.sleep(0.01)
    began = time.monotonic()
    engine.drain(timeout_s=WAIT_S)
    assert isinstance(error_of(future), EngineStopped)
    assert time.monotonic() - began < WAIT_S / 2


def test_a_runner_that_never_returns_still_leaves_no_future_open(
    engine: Engine, runner: SteppedRunner
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
    engine: Engine, runner: SteppedRunner
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
    engine: Engine, runner: SteppedRunner
) -> None:
    engine.start()
    engine.submit(ask("alice-0"))
    wait_until(lambda: runner.order == ["alice-0"])
    for number in range(1, 40):
        engine.submit(ask(f"alice-{number}"))
    bobs = engine.submit(ask("bob", owner="bob"))
    runner.is_free = True
    bobs.result(WAIT_S)
    assert runner.order.index("bob") <= 2


def test_the_snapshot_tells_what_runs_what_waits_and_which_model_is_ready(
    engine: Engine, runner: SteppedRunner
) -> None:
    assert engine.snapshot().resident_model is None
    engine.start()
    engine.submit(ask("one"))
    engine.submit(ask("two"))
    wait_until(lambda: engine.snapshot().resident_model == "toy")
    assert engine.snapshot().in_flight == ("one",)
    assert engine.snapshot().queued == 1


def test_stalling_is_measured_from_the_last_step_and_is_zero_when_idle(
    engine: Engine, runner: SteppedRunner
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
    ("field", "value"),
    [("width_px", 0), ("steps", 0), ("guidance_scale", -1.0), ("guidance_scale", float("nan")),
     ("seed", -1), ("seed", 2**64)],
)  # fmt: skip
def test_a_request_that_can_never_work_is_not_even_built(field: str, value: float) -> None:
    values = {"width_px": 64, "height_px": 64, "steps": 4, "guidance_scale": 7.0, "seed": 0}
    values[field] = value
    with pytest.raises(InvalidRequest):
        ImageRequest("one", "alice", MODEL, "", "", sampler="ddim", **values)  # type: ignore[arg-type]


def test_the_engine_the_settings_and_the_finishing_load_no_deep_learning_library() -> None:
    script = (
        "import sys, worker.config, worker.engine.engine, worker.finishing.encode,"
        " worker.finishing.parameters, worker.pipelines.inspect;"
        "sys.exit(bool({'torch', 'diffusers', 'transformers', 'django'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
