"""Compiled calls: warmed up aside, padded to buckets, given up where they fail."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pipelines.tiny_transformers import build_tiny_flux, build_tiny_sd3
from worker.config import Compile, EngineConfig
from worker.engine.request import ImageRequest, LoraSource, ModelSource
from worker.pipelines import compile as compiling
from worker.pipelines import graphs
from worker.pipelines.compile import CompiledCalls, bucket_of, pad_rows, whole_bucket
from worker.pipelines.denoising import DenoiserInputs, Denoising
from worker.pipelines.graphs import GraphedCalls
from worker.pipelines.runner import DiffusersRunner

pytestmark = pytest.mark.filterwarnings(
    # torch's compiler, importing what it has itself declared old
    "ignore::DeprecationWarning:torch",
)


def ask(path: Path, **changes: Any) -> ImageRequest:
    values: dict[str, Any] = {
        "request_id": "one",
        "owner_id": "alice",
        "model": ModelSource("tiny", "sd", "folder", str(path)),
        "prompt": "a cat",
        "negative_prompt": "",
        "width_px": 64,
        "height_px": 64,
        "steps": 4,
        "guidance_scale": 5.0,
        "seed": 7,
        "sampler": "euler",
    }
    return ImageRequest(**(values | changes))


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


def runner_with(monkeypatch: pytest.MonkeyPatch, *, backend: Any) -> DiffusersRunner:
    monkeypatch.setattr(
        "worker.pipelines.runner.CompiledCalls", lambda: CompiledCalls(backend=backend)
    )
    return DiffusersRunner(EngineConfig(device="cpu", preview_every=0, compile="on"))


def compiled_calls(runner: DiffusersRunner) -> CompiledCalls:
    assert runner._compiled is not None
    return runner._compiled


def draw(runner: DiffusersRunner, *drawn: Denoising) -> None:
    while drawn[0].done < drawn[0].calls:
        assert runner.step(drawn) == [None] * len(drawn)


def eager_latents(path: Path, **changes: Any) -> torch.Tensor:
    runner = DiffusersRunner(EngineConfig(device="cpu", preview_every=0, compile="off"))
    denoising = runner.begin(ask(path, **changes))
    draw(runner, denoising)
    return denoising.latents


def deviation(answer: torch.Tensor, expected: torch.Tensor) -> float:
    return float((answer - expected).abs().max() / expected.abs().max())


# The policy


def test_rows_are_counted_in_buckets() -> None:
    assert [bucket_of(rows) for rows in (1, 2, 3, 5, 16, 17)] == [1, 2, 4, 8, 16, None]
    assert [whole_bucket(rows) for rows in (1, 3, 7, 16, 40)] == [1, 2, 4, 16, 16]


def test_padding_repeats_the_last_row() -> None:
    latents = torch.arange(6.0).reshape(3, 2)
    words = {"words": torch.arange(3.0).reshape(3, 1, 1)}
    padded = pad_rows(DenoiserInputs(latents, torch.tensor([7, 8, 9]), words), 4)
    assert padded.latents.tolist() == [[0, 1], [2, 3], [4, 5], [4, 5]]
    assert padded.times.tolist() == [7, 8, 9, 9]
    assert padded.conditioning["words"].flatten().tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize(
    ("setting", "device", "compiles"),
    [
        ("auto", "cuda", True),
        ("auto", "cpu", False),
        ("auto", "mps", False),
        ("on", "cpu", True),
        ("off", "cuda", False),
    ],
)
def test_cuda_compiles_unless_told_otherwise(setting: Compile, device: str, compiles: bool) -> None:
    config = EngineConfig(compile=setting)
    assert compiling.should_compile(config, torch.device(device)) is compiles


def test_a_batch_is_no_larger_than_the_largest_bucket(
    tiny_model_dir: Path, quick_runner: DiffusersRunner
) -> None:
    assert quick_runner.row_limit(quick_runner.begin(ask(tiny_model_dir)).key) == 16


# The original serves meanwhile


def held_backend(may_go: threading.Event) -> Callable[..., Any]:
    """A compiler that takes until `may_go`, and then leaves the code as it is."""

    def compile_slowly(graph: torch.fx.GraphModule, _inputs: list[Any]) -> Any:
        assert may_go.wait(60)
        return graph.forward

    return compile_slowly


def test_the_original_draws_while_the_compiler_works(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, fresh_compiler: None
) -> None:
    may_go = threading.Event()
    runner = runner_with(monkeypatch, backend=held_backend(may_go))
    first = runner.begin(ask(tiny_model_dir))
    assert runner.compile_state() == "idle"
    draw(runner, first)
    assert runner.compile_state() == "warming"
    assert torch.equal(first.latents, eager_latents(tiny_model_dir))
    assert runner.finish(first).fingerprint["compiled"] == "no"

    second = runner.begin(ask(tiny_model_dir))
    assert runner.step([second]) == [None]
    may_go.set()
    compiled_calls(runner).wait()
    assert runner.compile_state() == "ready"
    draw(runner, second)
    assert runner.finish(second).fingerprint["compiled"] == "partly"


def test_padded_rows_of_several_people_come_out_as_they_would_alone(
    tiny_model_dir: Path, quick_runner: DiffusersRunner
) -> None:
    changes: list[dict[str, Any]] = [
        {"seed": 1, "guidance_scale": 1.0},
        {"seed": 2, "steps": 4, "sampler": "dpmpp_2m"},
    ]
    for _ in range(2):  # the first time warms up
        both = [quick_runner.begin(ask(tiny_model_dir, **change)) for change in changes]
        draw(quick_runner, *both)
        compiled_calls(quick_runner).wait()
    for denoising, change in zip(both, changes, strict=True):
        fingerprint = quick_runner.finish(denoising).fingerprint
        assert (fingerprint["compiled"], fingerprint["call_rows"]) == ("yes", "4")
        assert deviation(denoising.latents, eager_latents(tiny_model_dir, **change)) < 1e-5


@pytest.mark.slow("one family is compiled on every push", unless_changed="worker")
@pytest.mark.parametrize("family", ["sdxl", "sd3", "flux"])
def test_every_family_with_an_adapter_is_compiled(
    family: str, tiny_sdxl_dir: Path, tmp_path: Path, quick_runner: DiffusersRunner
) -> None:
    build = {"sdxl": lambda _: tiny_sdxl_dir, "sd3": build_tiny_sd3, "flux": build_tiny_flux}
    path = build[family](tmp_path / family)
    changes = {
        "model": ModelSource("tiny", family, "folder", str(path)),
        "sampler": "euler" if family == "sdxl" else "flow_euler",
    }
    for _ in range(2):
        denoising = quick_runner.begin(ask(path, **changes))
        draw(quick_runner, denoising)
        compiled_calls(quick_runner).wait()
    assert quick_runner.compile_state() == "ready"
    assert quick_runner.finish(denoising).fingerprint["compiled"] == "yes"
    assert deviation(denoising.latents, eager_latents(path, **changes)) < 1e-5


def test_an_exact_request_is_drawn_by_the_original_at_its_own_row_count(
    tiny_model_dir: Path, quick_runner: DiffusersRunner
) -> None:
    draw(quick_runner, quick_runner.begin(ask(tiny_model_dir)))
    compiled_calls(quick_runner).wait()
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
    compiled_calls(quick_runner).wait()
    plain.done = 0
    plain.request = ask(tiny_model_dir, loras=(LoraSource("ink", "/nowhere"),))
    inputs = DenoiserInputs(
        plain.latents.repeat(2, 1, 1, 1), torch.tensor([1, 1]), plain.conditioning
    )
    with torch.no_grad():
        assert not compiled_calls(quick_runner).predict([plain], inputs).compiled
        plain.request = ask(tiny_model_dir)
        assert compiled_calls(quick_runner).predict([plain], inputs).compiled


def test_a_model_loaded_anew_is_compiled_anew(
    tiny_model_dir: Path, quick_runner: DiffusersRunner
) -> None:
    request = ask(tiny_model_dir)
    for _ in range(2):
        draw(quick_runner, quick_runner.begin(request))
        compiled_calls(quick_runner).wait()
        denoising = quick_runner.begin(request)
        draw(quick_runner, denoising)
        assert quick_runner.finish(denoising).fingerprint["compiled"] == "yes"
        assert torch.equal(denoising.latents, eager_latents(tiny_model_dir))
        quick_runner._models._let_one_leave()


def test_what_the_compiler_made_of_a_model_that_left_meanwhile_does_not_count(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, fresh_compiler: None
) -> None:
    may_go = threading.Event()
    runner = runner_with(monkeypatch, backend=held_backend(may_go))
    draw(runner, runner.begin(ask(tiny_model_dir)))
    runner._models._let_one_leave()  # its weights are empty now
    may_go.set()
    compiled_calls(runner).wait()
    assert runner.compile_state() == "idle"


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
            compiled_calls(runner).wait()
    assert torch.equal(denoising.latents, eager_latents(tiny_model_dir))
    assert "no C++ compiler here" in runner.gauges().compiled
    assert len(caplog.records) == 1


def test_compiled_code_that_fails_while_drawing_loses_nothing(
    tiny_model_dir: Path, quick_runner: DiffusersRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(quick_runner, quick_runner.begin(ask(tiny_model_dir)))
    compiled_calls(quick_runner).wait()

    def broken(*_: object, **__: object) -> Any:
        raise RuntimeError("the kernel has a bug")

    monkeypatch.setattr(GraphedCalls, "call", broken)
    denoising = quick_runner.begin(ask(tiny_model_dir))
    draw(quick_runner, denoising)
    assert torch.equal(denoising.latents, eager_latents(tiny_model_dir))
    assert "the kernel has a bug" in quick_runner.compile_state()


def test_a_call_that_cannot_be_captured_is_made_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = GraphedCalls(torch.device("cuda"))  # which is not here: capturing raises
    monkeypatch.setattr(graphs, "HOT_CALLS", 2)
    inputs = DenoiserInputs(torch.ones(1), torch.ones(1), {})
    with caplog.at_level(logging.WARNING, logger=graphs.__name__):
        answers = [
            calls.call("key", lambda given: given.latents * 2, inputs, may_capture=True)
            for _ in range(4)
        ]
    assert all(answer.item() == 2 for answer in answers)
    assert len(caplog.records) == (0 if torch.cuda.is_available() else 1)


# The real compiler


@pytest.mark.slow("the compiler takes a minute", unless_changed="worker")
def test_the_machine_code_of_the_real_compiler_draws_the_same_picture(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, fresh_compiler: None
) -> None:
    runner = runner_with(monkeypatch, backend="inductor")
    draw(runner, runner.begin(ask(tiny_model_dir)))
    compiled_calls(runner).wait()
    if runner.compile_state() != "ready":  # no C++ compiler: the original draws, as tested above
        pytest.skip(runner.compile_state())
    denoising = runner.begin(ask(tiny_model_dir))
    draw(runner, denoising)
    assert runner.finish(denoising).fingerprint["compiled"] == "yes"
    assert deviation(denoising.latents, eager_latents(tiny_model_dir)) < 1e-5
