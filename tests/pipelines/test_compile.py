"""Compiled calls: made when nobody waits, padded to buckets, given up when they fail."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.toy_runner import wait_until
from tests.pipelines.compiling import (
    ask,
    compile_all,
    deviation,
    draw,
    eager_latents,
    runner_with,
)
from tests.pipelines.tiny_chat_models import CHAT_MODELS
from tests.pipelines.tiny_transformers import build_tiny_flux, build_tiny_sd3
from worker.config import Compile, EngineConfig
from worker.engine.engine import Engine
from worker.engine.request import LoraSource, ModelSource
from worker.pipelines import compile as compiling
from worker.pipelines.compile import CompiledCalls, bucket_of, pad_rows
from worker.pipelines.denoising import DenoiserInputs
from worker.pipelines.graphs import Graphs
from worker.pipelines.runner import DiffusersRunner

pytestmark = pytest.mark.filterwarnings(
    # torch's compiler, importing what it has itself declared old
    "ignore::DeprecationWarning:torch",
)


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    """What other tests compiled is forgotten."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def quick_runner(monkeypatch: pytest.MonkeyPatch, fresh_compiler: None) -> DiffusersRunner:
    """Traces, but generates no machine code."""
    return runner_with(monkeypatch, backend="aot_eager")


def compiled_calls(runner: DiffusersRunner) -> CompiledCalls:
    assert runner._compiled is not None
    return runner._compiled


# The policy


def test_rows_are_padded_only_when_they_fill_most_of_a_bucket() -> None:
    buckets = {rows: bucket_of(rows) for rows in (1, 2, 3, 5, 7, 9, 11, 14, 22, 31, 33)}
    assert buckets == {
        1: 1,
        2: 2,
        3: None,
        5: None,
        7: 8,
        9: None,
        11: 12,
        14: 16,
        22: 24,
        31: 32,
        33: None,
    }


def test_padding_repeats_the_last_row() -> None:
    latents = torch.arange(6.0).reshape(3, 2)
    words = {"words": torch.arange(3.0).reshape(3, 1, 1)}
    padded = pad_rows(DenoiserInputs(latents, torch.tensor([7, 8, 9]), words), 4)
    assert padded.latents.tolist() == [[0, 1], [2, 3], [4, 5], [4, 5]]
    assert padded.times.tolist() == [7, 8, 9, 9]
    assert padded.conditioning["words"].flatten().tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize(("setting", "compiles"), [("off", False), ("on", True), ("auto", False)])
def test_nothing_is_compiled_unless_that_is_asked_for(setting: Compile, compiles: bool) -> None:
    assert compiling.should_compile(EngineConfig(compile=setting)) is compiles


# Never beside a step


def recording_backend(seen: list[str]) -> Callable[..., Any]:
    """A compiler that notes who called it, and leaves the code as it is."""

    def compile_nothing(graph: torch.fx.GraphModule, _inputs: list[Any]) -> Any:
        seen.append(threading.current_thread().name)
        return graph.forward

    return compile_nothing


def test_the_original_draws_until_there_is_a_moment_to_compile(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, fresh_compiler: None
) -> None:
    seen: list[str] = []
    runner = runner_with(monkeypatch, backend=recording_backend(seen))
    first = runner.begin(ask(tiny_model_dir))
    assert runner.compile_state() == "idle"
    draw(runner, first)
    assert (runner.compile_state(), seen) == ("waiting", [])
    assert torch.equal(first.latents, eager_latents(tiny_model_dir))
    assert runner.finish(first).fingerprint["compiled"] == "no"

    second = runner.begin(ask(tiny_model_dir))
    assert runner.step([second]) == [None]
    assert runner.idle()
    assert seen
    assert runner.compile_state() == "ready"
    assert not runner.idle()
    draw(runner, second)
    assert runner.finish(second).fingerprint["compiled"] == "partly"


def test_the_engine_compiles_by_its_own_thread_when_nobody_waits(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, fresh_compiler: None
) -> None:
    seen: list[str] = []
    runner = runner_with(monkeypatch, backend=recording_backend(seen))
    engine = Engine(runner, runner._config)
    engine.start()
    try:
        first = engine.submit(ask(tiny_model_dir, request_id="one")).result(60)
        wait_until(lambda: runner.compile_state() == "ready")
        second = engine.submit(ask(tiny_model_dir, request_id="two")).result(60)
    finally:
        engine.close()
    assert first.fingerprint["compiled"] == "no"
    assert second.fingerprint["compiled"] == "yes"
    assert set(seen) == {"engine"}


def test_padded_rows_of_several_people_come_out_as_they_would_alone(
    tiny_model_dir: Path, quick_runner: DiffusersRunner
) -> None:
    changes: list[dict[str, Any]] = [
        {"seed": seed, "guidance_scale": 5.0 if seed else 1.0} for seed in range(4)
    ]
    for _ in range(2):
        drawn = [quick_runner.begin(ask(tiny_model_dir, **change)) for change in changes]
        draw(quick_runner, *drawn)  # 7 rows, which fill most of 8
        compile_all(quick_runner)
    for denoising, change in zip(drawn, changes, strict=True):
        fingerprint = quick_runner.finish(denoising).fingerprint
        assert (fingerprint["compiled"], fingerprint["call_rows"]) == ("yes", "8")
        assert deviation(denoising.latents, eager_latents(tiny_model_dir, **change)) < 1e-5


@pytest.mark.slow("one family is compiled on every push", unless_changed="worker")
@pytest.mark.parametrize("family", ["sdxl", "sd3", "flux", *CHAT_MODELS])
def test_every_family_with_an_adapter_is_compiled(
    family: str, tiny_sdxl_dir: Path, tmp_path: Path, quick_runner: DiffusersRunner
) -> None:
    build = {"sdxl": lambda _: tiny_sdxl_dir, "sd3": build_tiny_sd3, "flux": build_tiny_flux}
    path = (build | CHAT_MODELS)[family](tmp_path / family)
    changes = {
        "model": ModelSource("tiny", family, "folder", str(path)),
        "sampler": "euler" if family == "sdxl" else "flow_euler",
    }
    for _ in range(2):
        denoising = quick_runner.begin(ask(path, **changes))
        draw(quick_runner, denoising)
        compile_all(quick_runner)
    assert quick_runner.compile_state() == "ready"
    assert quick_runner.finish(denoising).fingerprint["compiled"] == "yes"
    assert deviation(denoising.latents, eager_latents(path, **changes)) < 1e-5


def test_an_exact_request_is_drawn_by_the_original_at_its_own_row_count(
    tiny_model_dir: Path, quick_runner: DiffusersRunner
) -> None:
    draw(quick_runner, quick_runner.begin(ask(tiny_model_dir)))
    compile_all(quick_runner)
    exact = quick_runner.begin(ask(tiny_model_dir, exact=True))
    draw(quick_runner, exact)
    fingerprint = quick_runner.finish(exact).fingerprint
    assert [fingerprint[name] for name in ("exact", "compiled", "call_rows")] == ["yes", "no", "2"]
    assert torch.equal(exact.latents, eager_latents(tiny_model_dir))


def test_the_twin_has_no_lora_and_does_not_draw_for_those_who_asked_for_one(
    tiny_model_dir: Path, quick_runner: DiffusersRunner
) -> None:
    plain = quick_runner.begin(ask(tiny_model_dir))
    draw(quick_runner, plain)
    compile_all(quick_runner)
    inputs = DenoiserInputs(
        plain.latents.repeat(2, 1, 1, 1), torch.tensor([1, 1]), plain.conditioning
    )
    plain.request = ask(tiny_model_dir, loras=(LoraSource("ink", "/nowhere"),))
    assert compiled_calls(quick_runner).call_for([plain], inputs) is None
    plain.request = ask(tiny_model_dir)
    assert compiled_calls(quick_runner).call_for([plain], inputs) is not None


def test_a_model_loaded_anew_is_compiled_anew(
    tiny_model_dir: Path, quick_runner: DiffusersRunner
) -> None:
    request = ask(tiny_model_dir)
    for _ in range(2):
        draw(quick_runner, quick_runner.begin(request))
        compile_all(quick_runner)
        denoising = quick_runner.begin(request)
        draw(quick_runner, denoising)
        assert quick_runner.finish(denoising).fingerprint["compiled"] == "yes"
        assert torch.equal(denoising.latents, eager_latents(tiny_model_dir))
        quick_runner._models._let_one_leave()


def test_shapes_of_a_model_that_left_are_not_compiled(
    tiny_model_dir: Path, quick_runner: DiffusersRunner
) -> None:
    draw(quick_runner, quick_runner.begin(ask(tiny_model_dir)))
    quick_runner._models._let_one_leave()  # its weights are empty now
    assert not quick_runner.idle()
    assert quick_runner.compile_state() == "idle"


# What fails


def test_a_compiler_that_fails_is_told_of_once_and_the_original_draws(
    tiny_model_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fresh_compiler: None,
) -> None:
    def no_compiler(*_: object) -> Any:
        raise RuntimeError("no C++ compiler here")

    runner = runner_with(monkeypatch, backend=no_compiler)
    with caplog.at_level(logging.WARNING, logger=compiling.__name__):
        for _ in range(2):
            denoising = runner.begin(ask(tiny_model_dir))
            draw(runner, denoising)
            compile_all(runner)
    assert torch.equal(denoising.latents, eager_latents(tiny_model_dir))
    assert "no C++ compiler here" in runner.gauges().compiled
    assert len(caplog.records) == 1


def test_a_shape_that_there_was_no_room_to_compile_is_tried_again(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, fresh_compiler: None
) -> None:
    tries: list[int] = []

    def short_of_memory(graph: torch.fx.GraphModule, _inputs: list[Any]) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise torch.OutOfMemoryError("out of memory")
        return graph.forward

    runner = runner_with(monkeypatch, backend=short_of_memory)
    for _ in range(2):
        draw(runner, runner.begin(ask(tiny_model_dir)))
        compile_all(runner)
    assert runner.compile_state() == "ready"


def test_compiled_code_that_fails_while_drawing_loses_nothing(
    tiny_model_dir: Path, quick_runner: DiffusersRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(quick_runner, quick_runner.begin(ask(tiny_model_dir)))
    compile_all(quick_runner)
    predict = Graphs.predict

    def broken(graphs: Graphs, call: Any) -> Any:
        if call.is_compiled:
            raise RuntimeError("the kernel has a bug")
        return predict(graphs, call)

    monkeypatch.setattr(Graphs, "predict", broken)
    denoising = quick_runner.begin(ask(tiny_model_dir))
    draw(quick_runner, denoising)
    assert torch.equal(denoising.latents, eager_latents(tiny_model_dir))
    assert "the kernel has a bug" in quick_runner.compile_state()


# The real compiler


@pytest.mark.slow("the compiler takes a minute", unless_changed="worker")
def test_the_machine_code_of_the_real_compiler_draws_the_same_picture(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, fresh_compiler: None
) -> None:
    runner = runner_with(monkeypatch, backend="inductor")
    draw(runner, runner.begin(ask(tiny_model_dir)))
    compile_all(runner)
    if runner.compile_state() != "ready":  # no C++ compiler: the original draws, as tested above
        pytest.skip(runner.compile_state())
    denoising = runner.begin(ask(tiny_model_dir))
    draw(runner, denoising)
    assert runner.finish(denoising).fingerprint["compiled"] == "yes"
    assert deviation(denoising.latents, eager_latents(tiny_model_dir)) < 1e-5
