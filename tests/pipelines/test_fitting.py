"""A model too large for the device is refused before any other leaves; others are loaded so that
they fit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pipelines.drawing import ask, begin, step_all
from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.engine.errors import ModelUnavailable
from worker.engine.request import ModelSource
from worker.pipelines import residency
from worker.pipelines.fitting import MANNERS, Plan, Room, needs_of, plan_loading
from worker.pipelines.loader import load_model
from worker.pipelines.memory import CudaProbe, DeviceMemory
from worker.pipelines.residency import ResidentModels, budget_of, room_on
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.sizes import ModelSizes, PartSize, measure

CPU = EngineConfig(device="cpu", preview_every=0)
DEVICE = torch.device("cpu")
GB = 10**9


def sizes(denoiser: float, *encoders: float, vae: float = 0.17, castable: float = 0.75) -> Any:
    """A model of so many GB in half precision, as its makers give them."""
    parts = {
        "transformer": PartSize(int(denoiser / 2 * GB), int(denoiser / 2 * castable * GB)),
        "vae": PartSize(int(vae / 2 * GB)),
    }
    for number, size in enumerate(encoders):
        parts[f"text_encoder_{number}"] = PartSize(int(size / 2 * GB))
    return ModelSizes(parts)


FLUX = sizes(23.8, 0.25, 9.5)
SD35_MEDIUM = sizes(4.9, 0.25, 1.4, 9.5)
SDXL = sizes(5.1, 0.25, 1.4)


def room_of(card: float, *, beside: float = 48) -> Room:
    return Room(int(card * GB), int((card - 1) * GB), int(beside * GB))


@pytest.mark.parametrize(
    ("model", "card", "manner"),
    [
        (SDXL, 12, "full"),
        (SDXL, 8, "beside"),  # whole, it would leave no room for an image
        (SD35_MEDIUM, 24, "full"),
        (SD35_MEDIUM, 16, "beside"),
        (SD35_MEDIUM, 12, "beside"),
        (SD35_MEDIUM, 8, "beside"),  # T5 alone is larger: it is streamed
        (FLUX, 48, "full"),
        (FLUX, 32, "beside"),
        (FLUX, 24, "fp8_beside"),
        (FLUX, 12, "fp8_streamed"),
        (FLUX, 8, "fp8_streamed"),
        (FLUX, 5, None),
    ],
)
def test_the_best_manner_that_leaves_room_for_images_is_taken(
    model: ModelSizes, card: float, manner: str | None
) -> None:
    plan = plan_loading(model, 2, room=room_of(card), manners=MANNERS["auto"])
    assert (plan and plan.manner) == manner
    if plan is not None:
        assert plan.device_bytes <= (card - 1) * GB


def test_encoders_wait_beside_only_where_there_is_memory_to_wait_in() -> None:
    assert plan_loading(SD35_MEDIUM, 2, room=room_of(12, beside=8), manners=MANNERS["auto"]) is None
    plan = plan_loading(SD35_MEDIUM, 2, room=room_of(20, beside=0), manners=("full", "beside"))
    assert plan is not None
    assert plan.manner == "full"  # tight, but the only manner


def test_the_bytes_of_each_manner_add_up() -> None:
    needs = needs_of(FLUX, 2)
    assert {manner: round(count / GB, 1) for manner, count in needs.items()} == {
        "full": 33.7,
        "beside": 24.0,
        "streamed": 8.1,
        "fp8": 24.8,
        "fp8_beside": 15.0,
        "fp8_streamed": 5.1,
    }


# Refused before anybody leaves


@pytest.fixture
def sources(tiny_model_dir: Path, tiny_sdxl_dir: Path) -> tuple[ModelSource, ModelSource]:
    """A small model, and one that is taken for larger than the device."""
    small = ModelSource("small", "sd", "folder", str(tiny_model_dir))
    return small, ModelSource("large", "sdxl", "folder", str(tiny_sdxl_dir))


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The slugs of the models that were loaded."""
    seen: list[str] = []

    def load(source: ModelSource, *rest: Any) -> Any:
        seen.append(source.slug)
        return load_model(source, *rest)

    monkeypatch.setattr(residency, "load_model", load)
    return seen


def test_nobody_leaves_for_a_model_that_can_never_fit(
    sources: tuple[ModelSource, ModelSource], loads: list[str]
) -> None:
    small, large = sources
    room = measure(Path(small.location)).whole(4) + 8192
    config = replace(CPU, threads=1, weights="full", model_memory=room)
    engine = Engine(DiffusersRunner(config), config)
    engine.start()
    refusals = []
    for _ in range(3):
        drawn = engine.submit(ask(Path(small.location), model=small, steps=1)).result(60)
        assert drawn.pixels
        unfit = ask(Path(large.location), model=large)
        with pytest.raises(ModelUnavailable) as refused:
            engine.submit(unfit).result(60)
        refusals.append(refused.value)
    engine.close()
    assert loads == ["small"]
    assert all("too large for the memory" in refusal.sentence for refusal in refusals)


def test_the_refusal_tells_administrators_the_figures(
    sources: tuple[ModelSource, ModelSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.pipelines.loader.measure", lambda _path: FLUX)
    models = ResidentModels(CPU, DEVICE, room=lambda: room_of(12, beside=0))
    with pytest.raises(ModelUnavailable) as refused:
        models.get(sources[1])
    assert refused.value.detail.endswith("the device has 12.0 GB.")
    assert "GB" not in refused.value.sentence
    short = ResidentModels(CPU, DEVICE, room=lambda: Room(40 * GB, 7 * GB))
    with pytest.raises(ModelUnavailable) as refused:
        short.get(sources[1])
    assert "has 40.0 GB, of which models may take 7.0 GB now." in refused.value.detail


def test_a_model_that_will_be_refused_waits_for_no_other_to_leave(
    sources: tuple[ModelSource, ModelSource],
) -> None:
    small, large = sources
    size = measure(Path(small.location)).whole(4) + 8192
    models = ResidentModels(replace(CPU, weights="full"), DEVICE, room=lambda: Room(size, size))
    models.get(small)
    assert models.has_room_for(large)
    with pytest.raises(ModelUnavailable):
        models.get(large)
    assert models.names() == ("small",)


def test_files_that_grew_are_measured_anew(
    sources: tuple[ModelSource, ModelSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = ResidentModels(CPU, DEVICE, room=lambda: room_of(12, beside=0))
    with monkeypatch.context() as patch:
        patch.setattr("worker.pipelines.loader.measure", lambda _path: FLUX)
        with pytest.raises(ModelUnavailable):
            models.get(sources[1])
    assert models.get(sources[1])


def test_the_others_leave_for_a_model_that_needs_more_memory(
    sources: tuple[ModelSource, ModelSource],
) -> None:
    small, large = sources
    models = ResidentModels(CPU, DEVICE)
    models.get(small)
    models.get(large)
    assert models.make_way(small)
    assert models.names() == ("small",)
    assert not models.make_way(small)


def test_a_parked_request_goes_on_after_its_model_left_for_another(
    sources: tuple[ModelSource, ModelSource],
) -> None:
    small, large = sources
    runner = DiffusersRunner(CPU)
    request = ask(Path(small.location), model=small, steps=3)
    parked = begin(runner, request)
    runner.step([parked])
    runner.make_resident(large)
    assert runner.make_way(large)
    runner.make_resident(small)
    step_all(runner, [parked])
    alone = begin(runner, request)
    step_all(runner, [alone])
    assert torch.equal(parked.latents, alone.latents)


# What a device can give


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """A card of 12 GB, of which 5 are free for this worker."""
    memory = DeviceMemory(12 * GB, 5 * GB)
    monkeypatch.setattr(residency, "device_memory", lambda _device: memory)
    return torch.device("cuda")


def test_a_budget_counts_what_other_programs_hold(card: torch.device) -> None:
    assert budget_of(EngineConfig(), card).device == 4 * GB
    assert room_on(card, EngineConfig()).most == 4.5 * GB
    assert room_on(card, EngineConfig(model_memory=3 * GB)).most == 3 * GB


def test_what_captured_graphs_hold_is_not_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (8 * GB, 24 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 10 * GB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 3 * GB)
    device = torch.device("cuda")
    assert CudaProbe(device).available() == 15 * GB
    assert CudaProbe(device, held_by_graphs=lambda: 6 * GB).available() == 9 * GB


def test_a_plan_says_what_the_model_takes() -> None:
    plan = plan_loading(SD35_MEDIUM, 2, room=room_of(12), manners=MANNERS["auto"])
    assert plan is not None
    assert isinstance(plan, Plan)
    assert plan.part_bytes + SD35_MEDIUM.rest(2) == plan.device_bytes
