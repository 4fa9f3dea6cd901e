"""What a device does to the engine ends no thread in silence, and loses no image."""

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from tests.engine.toy_runner import (
    MODEL,
    OTHER,
    PLAIN,
    WAIT_S,
    ToyDenoising,
    ToyRunner,
    ask,
    picture_of,
    wait_until,
)
from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.engine.errors import (
    Cancelled,
    DeviceLost,
    EngineError,
    EngineStopped,
    OutOfMemory,
)
from worker.engine.request import ImageRequest, ModelSource, Progress, RenderedImage
from worker.engine.runner import Denoising, OnStep, RunnerGauges, ShouldStop

ILLEGAL = "CUDA error: an illegal memory access was encountered\nCompile with `TORCH_USE_CUDA_DSA`"


def lost() -> RuntimeError:
    return RuntimeError(ILLEGAL)


class FaultyRunner(ToyRunner):
    """Raises `faults[name]` whenever the method of that name is called, or the next time only
    where the name stands in `once`."""

    def __init__(self) -> None:
        super().__init__()
        self.is_free = True
        self.faults: dict[str, Exception] = {}
        self.once: set[str] = set()

    def fail(self, name: str) -> None:
        error = self.faults.pop(name, None) if name in self.once else self.faults.get(name)
        if error is not None:
            raise error

    def has_room_for(self, model: ModelSource) -> bool:
        self.fail("has_room_for")
        return super().has_room_for(model)

    def make_resident(self, model: ModelSource) -> None:
        self.fail("make_resident")
        super().make_resident(model)

    def make_way(self, model: ModelSource) -> bool:
        self.fail("make_way")
        return super().make_way(model)

    def begin(self, request: ImageRequest) -> ToyDenoising:
        self.fail("begin")
        return super().begin(request)

    def step(self, batch: Sequence[Denoising], *rest: Any, **named: Any) -> list[Exception | None]:
        self.fail("step")
        return super().step(batch, *rest, **named)

    def row_limit(self, key: Hashable) -> int | None:
        self.fail("row_limit")
        return super().row_limit(key)

    def start_preview(self, denoising: Denoising) -> Callable[[], bytes | None]:
        self.fail("start_preview")

        def show() -> bytes | None:
            self.fail("preview")
            return b"preview"

        return show

    def start_finish(self, denoising: Denoising) -> Callable[[], RenderedImage]:
        self.fail("finish")
        return super().start_finish(denoising)

    def complete(self, request: ImageRequest) -> RenderedImage:
        self.fail("complete")
        return super().complete(request)

    def render(
        self, request: ImageRequest, *, on_step: OnStep, should_stop: ShouldStop
    ) -> RenderedImage:
        self.fail("render")
        return super().render(request, on_step=on_step, should_stop=should_stop)

    def gauges(self) -> RunnerGauges:
        self.fail("gauges")
        return super().gauges()


@pytest.fixture
def runner() -> FaultyRunner:
    return FaultyRunner()


@pytest.fixture
def engine(runner: FaultyRunner) -> Iterator[Engine]:
    engine = Engine(runner, EngineConfig(preview_every=1))
    yield engine
    runner.is_free, runner.is_deaf = True, False
    engine.close()


def submit(engine: Engine, name: str, **changes: Any) -> Future[RenderedImage]:
    """With a listener, so that it gets previews."""
    return engine.submit(ask(name, **changes), on_progress=lambda _progress: None)


def drawn(future: Future[RenderedImage]) -> str:
    return future.result(WAIT_S).request_id


@pytest.mark.parametrize("when", ["start_preview", "preview"])
def test_a_preview_that_fails_costs_no_image(
    engine: Engine, runner: FaultyRunner, when: str, caplog: pytest.LogCaptureFixture
) -> None:
    runner.faults[when] = RuntimeError("CUDA out of memory. Tried to allocate 2.00 MiB")
    engine.start()
    assert [drawn(submit(engine, name)) for name in ("one", "two")] == ["one", "two"]
    assert "a preview of request one failed" in caplog.text


def test_a_preview_that_failed_is_followed_by_others(engine: Engine, runner: FaultyRunner) -> None:
    runner.faults["start_preview"], runner.once = RuntimeError("out of memory"), {"start_preview"}
    heard: list[Progress] = []
    engine.start()
    future = engine.submit(ask("one", steps=12), on_progress=heard.append)
    future.result(WAIT_S)
    wait_until(lambda: any(progress.preview for progress in heard))


@pytest.mark.parametrize("question", ["row_limit", "has_room_for", "gauges"])
def test_a_question_that_the_device_does_not_answer_ends_nothing(
    engine: Engine, runner: FaultyRunner, question: str
) -> None:
    runner.faults[question] = RuntimeError("NVML is not to be had")
    engine.start()
    assert drawn(submit(engine, "one")) == "one"
    assert drawn(submit(engine, "two", model=OTHER)) == "two"
    assert engine.snapshot().gauges == RunnerGauges(
        resident=() if question == "gauges" else ("other",)
    )
    assert engine.ended_by is None


@pytest.mark.parametrize(
    "when",
    ["has_room_for", "make_resident", "begin", "step", "row_limit", "start_preview", "preview",
     "finish", "complete", "gauges"],
)  # fmt: skip
def test_after_the_first_error_of_a_lost_device_everything_is_given_back(
    engine: Engine, runner: FaultyRunner, when: str
) -> None:
    """Fifty images of ten people: none fails, whichever call finds it out."""
    runner.faults[when], runner.is_free = lost(), when != "gauges"
    asked = [submit(engine, f"{number}", owner=f"{number % 10}") for number in range(50)]
    engine.start()
    if when == "gauges":
        engine.snapshot()
        runner.is_free = True
    errors = [future.exception(WAIT_S) for future in asked]
    given_back = [error for error in errors if error is not None]
    assert {type(error) for error in given_back} == {DeviceLost}
    assert len(given_back) == 50 or when == "preview"  # which another thread finds a little later
    assert engine.wait_until_ended(timeout_s=WAIT_S)
    assert isinstance(engine.ended_by, DeviceLost)
    assert engine.ended_by.detail == f"RuntimeError: {ILLEGAL.splitlines()[0]}"
    with pytest.raises(EngineStopped):
        submit(engine, "later")


def test_an_error_of_one_sampler_that_says_that_the_device_is_lost_ends_all(
    engine: Engine, runner: FaultyRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_advance", lambda _denoising: lost())
    asked = [submit(engine, name) for name in ("one", "two")]
    engine.start()
    assert [type(future.exception(WAIT_S)) for future in asked] == [DeviceLost] * 2


def test_a_device_lost_by_a_family_without_an_adapter_ends_the_engine(
    engine: Engine, runner: FaultyRunner
) -> None:
    runner.faults["render"] = lost()
    asked = [submit(engine, name, model=PLAIN) for name in ("one", "two")]
    engine.start()
    assert [type(future.exception(WAIT_S)) for future in asked] == [DeviceLost] * 2


def test_what_was_cancelled_before_the_device_was_lost_stays_cancelled(
    engine: Engine, runner: FaultyRunner
) -> None:
    runner.is_free = False
    engine.start()
    one, two = submit(engine, "one"), submit(engine, "two")
    wait_until(lambda: len(runner.order) > 0)
    engine.cancel("one")
    runner.faults["step"] = lost()
    runner.is_free = True
    assert type(two.exception(WAIT_S)) is DeviceLost
    assert type(one.exception(WAIT_S)) is Cancelled


def test_a_lone_request_that_runs_out_of_memory_is_tried_again_once_others_made_way(
    engine: Engine, runner: FaultyRunner
) -> None:
    runner.room, runner.once = 2, {"step", "begin", "finish"}
    engine.start()
    assert drawn(submit(engine, "other", model=OTHER)) == "other"
    for when in ("begin", "step", "finish"):
        runner.faults[when] = OutOfMemory(detail="2 GiB")
        assert drawn(submit(engine, when)) == when
    assert runner.ways_made == 3
    assert runner.is_resident(MODEL)
    assert not runner.is_resident(OTHER)


def test_a_whole_image_of_another_family_is_tried_again_too(
    engine: Engine, runner: FaultyRunner
) -> None:
    runner.faults["render"], runner.once = OutOfMemory(), {"render"}
    engine.start()
    assert drawn(submit(engine, "one", model=PLAIN)) == "one"
    assert runner.ways_made == 1


@pytest.mark.parametrize("when", ["begin", "step", "finish"])
def test_a_request_that_runs_out_of_memory_with_all_the_room_fails_alone(
    engine: Engine, runner: FaultyRunner, when: str
) -> None:
    runner.faults[when] = OutOfMemory()
    engine.start()
    assert type(submit(engine, "one").exception(WAIT_S)) is OutOfMemory
    assert runner.ways_made == 1
    del runner.faults[when]
    assert drawn(submit(engine, "two")) == "two"


def test_room_that_cannot_be_made_is_no_reason_to_stop(
    engine: Engine, runner: FaultyRunner
) -> None:
    runner.faults["step"], runner.once = OutOfMemory(), {"step"}
    runner.faults["make_way"] = OSError("page-locked memory")
    engine.start()
    assert drawn(submit(engine, "one")) == "one"


def test_those_whose_model_made_way_go_on_when_it_is_back(
    engine: Engine, runner: FaultyRunner
) -> None:
    """One of another model runs out of memory while they are between two steps, and decodes."""
    runner.room, runner.is_free = 2, False
    engine.start()
    parked = [submit(engine, name, owner=name, steps=6) for name in ("one", "two")]
    runner.allow(3)
    wait_until(lambda: runner.steps_done == 3)
    runner.once = {"begin", "finish"}
    runner.faults |= {"begin": OutOfMemory(), "finish": OutOfMemory()}
    large = submit(engine, "large", owner="large", model=OTHER)
    runner.is_free = True
    assert [drawn(future) for future in (*parked, large)] == ["one", "two", "large"]
    assert runner.ways_made == 2


def test_an_image_that_waits_to_be_decoded_keeps_its_model_until_then(
    engine: Engine, runner: FaultyRunner
) -> None:
    """The device has room for one model, and somebody else's is wanted next."""
    asked = [
        submit(engine, "one", steps=2),
        submit(engine, "two", steps=2),
        submit(engine, "three", owner="bob", model=OTHER),
    ]
    engine.start()
    assert [drawn(future) for future in asked] == ["one", "two", "three"]
    assert runner.loads == ["toy", "other"]


def test_each_thread_that_uses_the_device_enters_it_first(
    engine: Engine, runner: FaultyRunner
) -> None:
    engine.start()
    heard: list[Progress] = []
    engine.submit(ask("one"), on_progress=heard.append).result(WAIT_S)
    wait_until(lambda: any(progress.preview for progress in heard))
    assert runner.threads[0] == "engine"
    assert runner.threads[1].startswith("previews")


def test_an_image_on_its_way_from_the_device_holds_up_nobody(
    engine: Engine, runner: FaultyRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, threads = threading.Event(), set[str]()

    def complete(request: ImageRequest) -> RenderedImage:
        threads.add(threading.current_thread().name)
        assert arrived.wait(WAIT_S)
        return picture_of(request)

    monkeypatch.setattr(runner, "complete", complete)
    engine.start()
    first, second = submit(engine, "first", steps=1), submit(engine, "second", steps=30)
    wait_until(lambda: runner.steps_done >= 31 or runner.calls.count(("second",)) >= 29)
    assert not first.done()
    assert engine.cancel("first")
    arrived.set()
    assert type(first.exception(WAIT_S)) is Cancelled
    assert drawn(second) == "second"
    assert threads == {"completions_0"}


def test_whoever_waits_is_told_of_a_panic_while_an_image_arrives(
    runner: FaultyRunner, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PanicError(BaseException):
        """As Rust's libraries raise it."""

    def complete(request: ImageRequest) -> RenderedImage:
        raise PanicError("index out of bounds")

    monkeypatch.setattr(runner, "complete", complete)
    engine.start()
    failure = submit(engine, "first", steps=1).exception(WAIT_S)
    assert isinstance(failure, EngineError)
    assert failure.detail == "PanicError: index out of bounds"
