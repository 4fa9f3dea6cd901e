"""Models share the memory; one that left and came back draws on as if it had stayed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pipelines import compiling
from tests.pipelines.drawing import ask_for
from worker.config import EngineConfig
from worker.engine.errors import EngineError, OutOfMemory
from worker.engine.request import ImageRequest, ModelSource
from worker.engine.runner import Denoising
from worker.pipelines import residency
from worker.pipelines.fitting import SPARE_BYTES, Plan
from worker.pipelines.loader import LoadedModel, load_model
from worker.pipelines.memory import RowMeter, machine_memory, memory_in_use, weight_bytes
from worker.pipelines.residency import Budget, ResidentModels, budget_of
from worker.pipelines.runner import DiffusersRunner

CPU = EngineConfig(device="cpu", preview_every=0)
DEVICE = torch.device("cpu")


@pytest.fixture
def sources(tiny_model_dir: Path) -> list[ModelSource]:
    return [ModelSource(slug, "sd", "folder", str(tiny_model_dir)) for slug in "abc"]


@pytest.fixture
def size(sources: list[ModelSource]) -> int:
    """Bytes of one model."""
    return weight_bytes(load_model(sources[0], CPU).pipeline)


def keeping(device: int, *, host: int = 0, models: int | None = None) -> ResidentModels:
    return ResidentModels(CPU, DEVICE, budget=Budget(device, host, models))


def ask(source: ModelSource, **changes: Any) -> ImageRequest:
    return compiling.ask(Path(source.location), **({"model": source} | changes))


def draw(runner: DiffusersRunner, denoising: Denoising) -> bytes:
    while denoising.done < denoising.calls:
        assert runner.step([denoising]) == [None]
    return runner.finish(denoising).pixels


# Who stays and who leaves


def test_models_stay_side_by_side_as_long_as_the_memory_allows(
    sources: list[ModelSource], size: int
) -> None:
    models = keeping(2 * size)
    first, second = models.get(sources[0]), models.get(sources[1])
    assert models.get(sources[0]) is first
    assert models.get(sources[1]) is second
    assert models.names() == ("a", "b")


def test_the_model_used_longest_ago_leaves_when_another_needs_its_room(
    sources: list[ModelSource], size: int
) -> None:
    a, b, c = sources
    models = keeping(2 * size)
    models.get(a)
    models.get(b)
    models.resident(a)  # a step counts as use
    models.get(c)
    assert [models.holds(source) for source in sources] == [True, False, True]


def test_there_is_room_only_where_nobody_has_to_leave(
    sources: list[ModelSource], size: int
) -> None:
    a, b, _ = sources
    models = keeping(size + size // 2)
    assert models.has_room_for(a)
    models.get(a)
    assert models.has_room_for(a)
    assert not models.has_room_for(b)
    assert keeping(size // 2).has_room_for(a)  # one model alone may always come


def test_a_number_of_models_may_be_the_tighter_limit(sources: list[ModelSource], size: int) -> None:
    models = keeping(10 * size, models=1)
    models.get(sources[0])
    assert not models.has_room_for(sources[1])
    models.get(sources[1])
    assert models.names() == ("b",)


def test_all_others_make_way_for_one_that_ran_out_of_memory(
    sources: list[ModelSource], size: int
) -> None:
    a, b, c = sources
    models = keeping(10 * size)
    assert not models.make_way(a)
    for source in (a, b, c):
        models.get(source)
    assert models.make_way(a)
    assert models.names() == ("a",)
    assert not models.make_way(a)
    assert models.make_way(b)  # which is away itself
    assert models.names() == ()


def test_an_estimate_that_was_too_low_is_put_right_after_loading(
    sources: list[ModelSource], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(residency, "plan_model", lambda *_: Plan("full", 1))
    models = keeping(size + size // 2)
    models.get(sources[0])
    models.get(sources[1])
    assert models.names() == ("b",)


def test_a_model_that_has_left_gives_its_memory_back_whoever_still_refers_to_it(
    sources: list[ModelSource], size: int
) -> None:
    models = keeping(size)
    gone = models.get(sources[0])
    models.get(sources[1])
    assert weight_bytes(gone.pipeline) == 0


def test_a_model_waits_beside_the_device_and_returns_the_same(
    sources: list[ModelSource], size: int
) -> None:
    models = keeping(size, host=size)
    first = models.get(sources[0])
    models.get(sources[1])
    assert not models.holds(sources[0])
    assert models.get(sources[0]) is first
    assert weight_bytes(first.pipeline) == size


def test_of_the_models_that_wait_the_one_that_waited_longest_is_dropped(
    sources: list[ModelSource], size: int
) -> None:
    a, b, c = sources
    models = keeping(size, host=size)
    first, second = models.get(a), models.get(b)
    models.get(c)
    assert weight_bytes(first.pipeline) == 0
    assert models.get(b) is second
    assert models.get(a) is not first


def test_where_page_locked_memory_is_refused_the_model_is_dropped_and_loads_again(
    sources: list[ModelSource], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = keeping(size, host=size)
    first = models.get(sources[0])
    with monkeypatch.context() as patch:
        patch.setattr("worker.pipelines.loader.move_weights", no_room)
        models.get(sources[1])
    assert models.get(sources[0]) is not first


def no_room(*_: object, **__: object) -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory")


def load_with_room_for(count: int) -> Callable[[ModelSource, EngineConfig, Plan], LoadedModel]:
    """A device that says no while `count` loaded models still hold their weights."""
    loaded: list[LoadedModel] = []

    def load(source: ModelSource, config: EngineConfig, plan: Plan) -> LoadedModel:
        if sum(weight_bytes(model.pipeline) > 0 for model in loaded) >= count:
            raise OutOfMemory(detail="as injected")
        loaded.append(load_model(source, config, plan))
        return loaded[-1]

    return load


def test_a_device_that_is_full_against_all_reckoning_loses_the_others_and_loads(
    sources: list[ModelSource], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(residency, "load_model", load_with_room_for(1))
    models = keeping(10 * size)
    models.get(sources[0])
    models.get(sources[1])
    assert models.names() == ("b",)


def test_a_model_that_does_not_fit_even_alone_is_out_of_memory(
    sources: list[ModelSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(residency, "load_model", load_with_room_for(0))
    with pytest.raises(OutOfMemory):
        keeping(10**9).get(sources[0])


def test_a_budget_left_to_the_worker_is_a_share_of_the_memory() -> None:
    budget = budget_of(CPU, DEVICE)
    assert budget == Budget(int(machine_memory() * 0.4), 0, None)
    given = EngineConfig(device="cpu", model_memory=5, host_model_memory=7, resident_models=2)
    # a CPU has no memory beside its own
    assert budget_of(given, DEVICE) == Budget(5, 0, 2)


# Requests whose model left


def small_runner(tiny_model_dir: Path, tmp_path: Path) -> tuple[DiffusersRunner, ModelSource]:
    """A runner that holds one model, and another model to drive that out with."""
    other = ModelSource(
        "other", "sd", "folder", str(shutil.copytree(tiny_model_dir, tmp_path / "o"))
    )
    return DiffusersRunner(EngineConfig(device="cpu", resident_models=1)), other


@pytest.mark.parametrize("mode", ["text", "inpaint"])
@pytest.mark.parametrize("sampler", ["euler_a", "dpmpp_2m"])
def test_a_parked_request_draws_on_after_its_model_was_dropped_and_loaded_anew(
    tiny_model_dir: Path, tmp_path: Path, sources: list[ModelSource], sampler: str, mode: str
) -> None:
    runner, other = small_runner(tiny_model_dir, tmp_path)
    request = ask_for(mode, tiny_model_dir, model=sources[0], sampler=sampler)
    expected = draw(runner, runner.begin(request))

    parked = runner.begin(request)
    runner.step([parked])
    runner.make_resident(other)
    assert not runner.is_resident(sources[0])
    runner.make_resident(sources[0])
    assert draw(runner, parked) == expected


def test_a_request_whose_model_is_away_is_not_stepped_on_empty_weights(
    tiny_model_dir: Path, tmp_path: Path, sources: list[ModelSource]
) -> None:
    runner, other = small_runner(tiny_model_dir, tmp_path)
    parked = runner.begin(ask(sources[0]))
    runner.make_resident(other)
    with pytest.raises(EngineError, match="not on the device"):
        runner.step([parked])
    assert parked.done == 0


def test_a_model_made_resident_has_its_preview_ready(sources: list[ModelSource]) -> None:
    runner = DiffusersRunner(EngineConfig(device="cpu", preview_every=3))
    runner.make_resident(sources[0])
    denoising = runner.begin(ask(sources[0]))
    vae = denoising.model.pipeline.vae
    vae.encode = no_room  # fitting would need it
    assert runner.start_preview(denoising)()


def test_a_preview_shows_the_step_it_was_started_at(sources: list[ModelSource]) -> None:
    runner = DiffusersRunner(CPU)
    denoising = runner.begin(ask(sources[0]))
    encode = runner.start_preview(denoising)
    at_once = runner.start_preview(denoising)()
    denoising.latents.zero_()
    assert encode() == at_once
    assert runner.start_preview(denoising)() != at_once


def test_the_gauges_name_the_models_and_the_memory(sources: list[ModelSource]) -> None:
    runner = DiffusersRunner(CPU)
    assert runner.gauges().resident == ()
    runner.make_resident(sources[0])
    gauges = runner.gauges()
    assert (gauges.resident, gauges.compiled) == (("a",), "off")
    assert gauges.device == f"CPU, {torch.get_num_threads()} threads"
    assert 0 < gauges.memory_used < gauges.memory_total
    assert gauges.model_room == gauges.memory_total - SPARE_BYTES
    assert (gauges.manners, gauges.itemsize) == (("full", "fp8"), 4)
    for _ in range(2):
        runner.begin(ask(sources[0]))
    seen = runner.gauges()
    assert seen.prompt_cache_misses - gauges.prompt_cache_misses == 2  # both prompts, once
    assert seen.prompt_cache_hits - gauges.prompt_cache_hits == 2
    assert memory_in_use(DEVICE)[1] == machine_memory()


# Rows


class PretendMemory:
    """A device on which a call of R rows peaks at `fixed` + R * `row` bytes."""

    def __init__(self, *, free: int, fixed: int, row: int) -> None:
        self.free, self.fixed, self.row, self.rows = free, fixed, row, 0
        self.marks = 0

    def mark(self) -> None:
        self.rows = 0
        self.marks += 1

    def peak(self) -> int:
        return self.fixed + self.rows * self.row

    def available(self) -> int:
        return self.free


def call(meter: RowMeter, memory: PretendMemory, rows: int) -> None:
    with meter.measuring("key", rows) as measured:
        memory.rows = measured.rows = rows


def test_the_row_limit_follows_from_the_peaks_of_two_calls() -> None:
    memory = PretendMemory(free=10_000, fixed=500, row=700)
    meter = RowMeter(memory)
    assert meter.limit("key") == 2  # one guided request, to begin with
    call(meter, memory, 1)
    assert meter.limit("key") == 2
    call(meter, memory, 2)
    assert meter.limit("key") == (8500 - 500) // 700  # 15 % stay spare
    assert meter.limit("another size") == 2


def test_a_call_whose_peak_means_nothing_teaches_nothing() -> None:
    memory = PretendMemory(free=10_000, fixed=500, row=700)
    meter = RowMeter(memory)
    call(meter, memory, 1)
    with meter.measuring("key", 8):
        memory.rows = 8
    assert meter.limit("key") == 2


def test_a_call_of_rows_that_are_known_asks_the_device_nothing() -> None:
    memory = PretendMemory(free=10_000, fixed=500, row=700)
    meter = RowMeter(memory)
    for rows in (1, 2, 1, 2, 2, 3):
        call(meter, memory, rows)
    assert memory.marks == 3


def test_rows_that_ran_out_of_memory_are_halved_until_models_come_or_go() -> None:
    memory = PretendMemory(free=10_000, fixed=0, row=100)
    meter = RowMeter(memory)
    call(meter, memory, 1)
    call(meter, memory, 2)
    assert meter.limit("key") == 85
    with pytest.raises(torch.OutOfMemoryError), meter.measuring("key", 20):
        no_room()
    assert meter.limit("key") == 10
    with pytest.raises(torch.OutOfMemoryError), meter.measuring("key", 1):
        no_room()
    assert meter.limit("key") == 1
    meter.forget_limits()
    assert meter.limit("key") == 85


def test_nothing_is_known_of_rows_on_the_cpu(sources: list[ModelSource]) -> None:
    runner = DiffusersRunner(CPU)
    assert runner.row_limit(runner.begin(ask(sources[0])).key) is None
