"""Graphs of calls that come often: kept while there is room, and never in anybody's way.

There is no CUDA device here. What captures is a stub that replays the call as it is; who is
captured, when, and what it costs is the product's own.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.pipelines.compiling import ask, draw, eager_latents
from worker.config import EngineConfig
from worker.engine.request import LoraSource, ModelSource
from worker.pipelines import graphs
from worker.pipelines.denoising import DenoiserInputs
from worker.pipelines.graphs import DenoiserCall, Graphs
from worker.pipelines.runner import DiffusersRunner

TINY = ModelSource("tiny", "sd", "folder", "tiny")
OTHER = ModelSource("other", "sd", "folder", "other")
MB = 1 << 20


@dataclass
class Device:
    """What the stub saw, and what it is to do."""

    reserved: int = 0
    grows_by: int = 10 * MB
    captured: list[Any] = field(default_factory=list)
    pools: list[Any] = field(default_factory=list)
    streams: list[Any] = field(default_factory=list)
    replays: int = 0
    error: RuntimeError | None = None


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    seen = Device()

    class StubGraph:
        def __init__(self, call: DenoiserCall, *, pool: Any, stream: Any) -> None:
            if seen.error is not None:
                raise seen.error
            self.call = call
            seen.captured.append(call.signature)
            seen.pools.append(pool)
            seen.streams.append(stream)
            seen.reserved += seen.grows_by

        def replay(self, inputs: DenoiserInputs) -> Tensor:
            seen.replays += 1
            return self.call.make(inputs)

    monkeypatch.setattr(graphs, "_Graph", StubGraph)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: seen.reserved)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: object())
    monkeypatch.setattr(torch.cuda, "Stream", lambda _device: object())
    return seen


def calls_of(signature: Any, *, model: ModelSource = TINY, compiled: bool = False) -> DenoiserCall:
    inputs = DenoiserInputs(torch.ones(2, 1), torch.ones(2), {})
    return DenoiserCall(model, signature, lambda given: given.latents * 2, inputs, compiled)


def take(captured: Graphs, signature: Any, *, times: int, model: ModelSource = TINY) -> list[Any]:
    """How the calls were made."""
    call = calls_of(signature, model=model)
    return [captured.predict(call).way for _ in range(times)]


@pytest.fixture
def captured(device: Device) -> Graphs:
    return Graphs(torch.device("cuda"), hot_calls=3)


def test_a_call_that_comes_often_is_captured_and_then_replayed(
    captured: Graphs, device: Device
) -> None:
    # The one that captures does more than to draw: its time and memory mean nothing.
    assert take(captured, "a", times=5) == ["eager", "eager", None, "graph", "graph"]
    assert (device.captured, device.replays) == (["a"], 2)


def test_nothing_is_captured_elsewhere_than_on_cuda(device: Device) -> None:
    on_cpu = Graphs(torch.device("cpu"), hot_calls=3)
    assert take(on_cpu, "a", times=5) == ["eager"] * 5
    assert on_cpu.state() == "off"
    assert not on_cpu._calls


def test_a_replay_answers_what_the_call_answers(captured: Graphs, device: Device) -> None:
    answers = [captured.predict(calls_of("a")).answer for _ in range(4)]
    assert all(torch.equal(answer, torch.full((2, 1), 2.0)) for answer in answers)


def test_all_graphs_share_one_pool_and_one_stream(captured: Graphs, device: Device) -> None:
    take(captured, "a", times=3)
    take(captured, "b", times=3, model=OTHER)
    assert len({id(pool) for pool in device.pools}) == 1
    assert len({id(stream) for stream in device.streams}) == 1


def test_the_graph_used_least_recently_makes_way(
    captured: Graphs, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 2)
    for signature in ("a", "b"):
        take(captured, signature, times=3)
    take(captured, "a", times=1)
    take(captured, "c", times=3)
    assert take(captured, "a", times=1) == ["graph"]
    assert take(captured, "b", times=1) != ["graph"]


def test_what_the_pool_took_counts_as_held_until_the_graphs_go(
    captured: Graphs, device: Device
) -> None:
    take(captured, "a", times=3)
    take(captured, "b", times=3)
    assert captured.held_bytes == 20 * MB
    assert captured.free()
    assert captured.held_bytes == 0
    assert not captured.free()


def test_a_model_takes_its_own_graphs_along(captured: Graphs, device: Device) -> None:
    take(captured, "a", times=3)
    take(captured, "a", times=3, model=OTHER)
    captured.leave(TINY)
    assert take(captured, "a", times=1, model=OTHER) == ["graph"]
    assert take(captured, "a", times=1) == ["eager"]


def test_no_room_for_a_graph_is_no_reason_never_to_try_again(
    captured: Graphs, device: Device
) -> None:
    device.error = torch.OutOfMemoryError("CUDA out of memory")
    assert take(captured, "a", times=3) == ["eager"] * 3
    device.error = None
    assert take(captured, "a", times=4) == ["eager", "eager", None, "graph"]
    assert captured.state() == "ready"


def test_a_call_that_cannot_be_captured_is_made_as_it_is_and_told_of_once(
    captured: Graphs, device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    device.error = RuntimeError("operation not permitted when stream is capturing")
    assert take(captured, "a", times=6) == ["eager"] * 6
    assert captured.state() == (
        "failed: RuntimeError: operation not permitted when stream is capturing"
    )
    assert len(caplog.records) == 1


def test_many_shapes_that_come_once_do_not_fill_the_memory_of_the_host(
    captured: Graphs, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "MOST_COUNTED", 10)
    for number in range(100):
        take(captured, number, times=1)
    assert len(captured._calls) <= 11


# In the runner


@pytest.fixture
def runner(device: Device) -> DiffusersRunner:
    """It draws on the CPU; its graphs believe that it is CUDA."""
    runner = DiffusersRunner(EngineConfig(device="cpu", preview_every=0))
    runner._graphs = Graphs(torch.device("cuda"), hot_calls=3)
    return runner


def test_replayed_steps_draw_the_same_bits_and_are_named_in_the_record(
    tiny_model_dir: Path, runner: DiffusersRunner, device: Device
) -> None:
    request = ask(tiny_model_dir, steps=6)
    drawn = runner.begin(request)
    draw(runner, drawn)
    assert device.replays == 3
    assert torch.equal(drawn.latents, eager_latents(tiny_model_dir, steps=6))
    assert runner.finish(drawn).fingerprint["graphs"] == "partly"
    drawn = runner.begin(request)
    draw(runner, drawn)
    assert runner.finish(drawn).fingerprint["graphs"] == "yes"


def test_graphs_are_made_at_the_rows_that_calls_have(
    tiny_model_dir: Path, runner: DiffusersRunner, device: Device
) -> None:
    three = [
        runner.begin(ask(tiny_model_dir, steps=4)),
        runner.begin(ask(tiny_model_dir, steps=4, guidance_scale=1.0)),
    ]
    draw(runner, *three)
    assert [signature[1] for signature in device.captured] == [3]
    assert runner.finish(three[0]).fingerprint["call_rows"] == "3"


def test_exact_requests_are_never_replayed(
    tiny_model_dir: Path, runner: DiffusersRunner, device: Device
) -> None:
    drawn = runner.begin(ask(tiny_model_dir, steps=6, exact=True))
    draw(runner, drawn)
    assert not device.captured
    assert runner.finish(drawn).fingerprint["graphs"] == "no"


def test_a_request_with_a_lora_is_never_replayed(
    tiny_model_dir: Path,
    runner: DiffusersRunner,
    device: Device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.pipelines.loras.apply", lambda *_: None)
    drawn = runner.begin(ask(tiny_model_dir, steps=6, loras=(LoraSource("ink", "/nowhere"),)))
    draw(runner, drawn)
    assert not device.captured


def test_a_model_that_leaves_the_device_takes_its_graphs_along(
    tiny_model_dir: Path, runner: DiffusersRunner, device: Device
) -> None:
    draw(runner, runner.begin(ask(tiny_model_dir, steps=6)))
    runner._models._let_one_leave()
    assert not runner._graphs._graphs


def test_a_capture_has_the_rows_that_fit_found_anew(
    tiny_model_dir: Path, runner: DiffusersRunner, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(runner._meter, "room_changed", lambda: told.append(1))
    draw(runner, runner.begin(ask(tiny_model_dir, steps=6)))
    assert told == [1]
