"""Large models on small devices: encoders wait beside it, and blocks come for their calls."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.pipelines.drawing import ask, ask_for, begin, draw, step_all
from tests.pipelines.small_devices import (
    PLENTY,
    loaded,
    room_for,
    runner_with,
    unet_lora,
    whole_runner,
)
from tests.pipelines.small_devices import request_of as request_of
from tests.pipelines.tiny_transformers import build_tiny_flux, build_tiny_sd3
from worker.config import Weights
from worker.engine.errors import OutOfMemory
from worker.engine.request import ImageRequest, LoraSource
from worker.pipelines import host_copy, parts
from worker.pipelines.fitting import Manner, Room
from worker.pipelines.host_copy import BLOCK_BYTES, HostCopy
from worker.pipelines.loader import LoadedModel
from worker.pipelines.memory import weight_bytes, weights_of
from worker.pipelines.sizes import measure


def parts_here(model: LoadedModel) -> list[bool]:
    """Whether each encoder, and at last the denoiser, is on the device."""
    assert model.parts is not None
    return [part.is_here for part in (*model.parts._encoders, model.parts._denoiser)]


def all_parts(model: LoadedModel) -> list[parts.Part]:
    assert model.parts is not None
    return [*model.parts._encoders, model.parts._denoiser]


def blocks_of(part: parts.Part) -> list[torch.Tensor]:
    """The copies that it keeps in the machine's memory."""
    return list(part._copy._homes.values())


# Encoders beside


def test_with_encoders_beside_the_bits_are_the_same(
    request_of: Callable[..., ImageRequest],
) -> None:
    request = request_of()
    latents, whole = draw(whole_runner(request), request)
    runner = runner_with(room_for("beside", request), weights="full")
    beside_latents, beside = draw(runner, request)
    assert loaded(runner, request).parts is not None
    assert torch.equal(latents, beside_latents)
    assert beside.pixels == whole.pixels
    assert beside.fingerprint["weights"] == "full"


@pytest.mark.parametrize("mode", ["image", "inpaint"])
def test_start_images_go_with_encoders_beside(tmp_path: Path, mode: str) -> None:
    path = build_tiny_flux(tmp_path / "flux")
    request = ask_for(mode, path, family="flux", sampler="flow_euler", negative_prompt="")
    _, whole = draw(whole_runner(request), request)
    _, beside = draw(runner_with(room_for("beside", request), weights="full"), request)
    assert beside.pixels == whole.pixels


def test_while_it_steps_only_the_denoiser_is_on_the_device(tmp_path: Path) -> None:
    request = ask(build_tiny_sd3(tmp_path / "sd3"), family="sd3", sampler="flow_euler")
    runner = runner_with(room_for("beside", request), weights="full")
    denoising = begin(runner, request)
    model = loaded(runner, request)
    assert parts_here(model)[-2:] == [True, False]  # T5 read the prompt last; no room for both
    runner.step([denoising])
    assert parts_here(model) == [False, False, False, True]
    runner.begin(request)  # the prompt is known: nobody has to come
    assert parts_here(model) == [False, False, False, True]
    assert model.device_bytes() <= room_for("beside", request).most


def test_the_denoiser_stays_if_there_is_room_for_an_encoder_beside_it(tmp_path: Path) -> None:
    request = ask(build_tiny_sd3(tmp_path / "sd3"), family="sd3", sampler="flow_euler")
    sizes = measure(Path(request.model.location))
    both = sizes.rest(4) + sizes.denoiser(4) + max(sizes.encoders(4))
    runner = runner_with(Room(PLENTY, int(both / 0.85) + 4096, PLENTY), weights="full")
    model = loaded(runner, request)
    denoising = begin(runner, request)
    runner.step([denoising])
    runner.begin(request_again := ask_again(request))
    assert request_again.prompt != request.prompt
    assert parts_here(model)[-1]


def ask_again(request: ImageRequest) -> ImageRequest:
    return ask(Path(request.model.location), family="sd3", sampler="flow_euler", prompt="other")


def test_graphs_are_told_before_the_denoiser_leaves(tmp_path: Path) -> None:
    request = ask(build_tiny_sd3(tmp_path / "sd3"), family="sd3", sampler="flow_euler")
    runner = runner_with(room_for("beside", request), weights="full")
    model = loaded(runner, request)
    told: list[str] = []
    assert model.parts is not None
    model.parts.on_leave = lambda: told.append("denoiser")
    denoising = begin(runner, request)
    runner.step([denoising])
    assert told == []
    runner.begin(ask_again(request))
    assert told == ["denoiser"]
    step_all(runner, [denoising])
    assert runner.finish(denoising).pixels


def test_a_part_that_finds_no_room_waits_on_and_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(build_tiny_sd3(tmp_path / "sd3"), family="sd3", sampler="flow_euler")
    runner = runner_with(room_for("beside", request), weights="full")
    expected = draw(runner, request)[1].pixels
    denoising = begin(runner, request)
    come = parts.Part.come

    def no_room(_part: parts.Part) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory, as injected")

    model = loaded(runner, request)
    assert model.parts is not None
    model.parts.make_way()
    with monkeypatch.context() as patch:
        patch.setattr(parts.Part, "come", no_room)
        with pytest.raises(OutOfMemory):
            runner.step([denoising])
    assert parts.Part.come is come
    step_all(runner, [denoising])
    assert runner.finish(denoising).pixels == expected


def test_a_model_in_parts_leaves_and_comes_back(tmp_path: Path, tiny_sdxl_dir: Path) -> None:
    request = ask(build_tiny_sd3(tmp_path / "sd3"), family="sd3", sampler="flow_euler")
    runner = runner_with(room_for("beside", request), weights="full")
    expected = draw(runner, request)[1].pixels
    parked = begin(runner, request)
    runner.step([parked])
    model = loaded(runner, request)
    other = ask(tiny_sdxl_dir, family="sdxl")
    runner._models._room = lambda: Room(PLENTY, PLENTY)
    runner.make_resident(other.model)
    assert runner.make_way(other.model)
    assert not any(parts_here(model))
    assert loaded(runner, request) is model
    step_all(runner, [parked])
    assert runner.finish(parked).pixels == expected


def test_a_model_in_parts_that_is_dropped_leaves_nothing_behind(
    tmp_path: Path, tiny_sdxl_dir: Path
) -> None:
    request = ask(build_tiny_sd3(tmp_path / "sd3"), family="sd3", sampler="flow_euler")
    runner = runner_with(room_for("beside", request), weights="full", host=0)
    model = loaded(runner, request)
    runner._models._room = lambda: Room(PLENTY, PLENTY)
    other = ask(tiny_sdxl_dir, family="sdxl")
    runner.make_resident(other.model)
    runner.make_way(other.model)
    assert weight_bytes(model.pipeline) == 0
    assert not any(blocks_of(part) for part in all_parts(model))
    assert loaded(runner, request) is not model


# Streamed


@pytest.mark.parametrize("weights", ["full", "fp8"])
def test_of_a_part_larger_than_the_device_blocks_come_for_their_calls(
    request_of: Callable[..., ImageRequest], weights: Weights
) -> None:
    request = request_of()
    manner: Manner = "streamed" if weights == "full" else "fp8_streamed"
    runner = runner_with(room_for(manner, request), weights=weights)
    plenty = runner_with(Room(PLENTY, PLENTY), weights=weights)
    loaded(plenty, request).wait_beside()
    expected, whole = draw(plenty, request)
    model = loaded(runner, request)
    assert model.parts is not None
    assert model.parts.is_streamed
    assert not model.is_fixed
    latents, image = draw(runner, request)
    assert torch.equal(latents, expected)
    assert image.pixels == whole.pixels


def test_a_streamed_block_is_on_the_device_for_its_call_alone(tmp_path: Path) -> None:
    request = ask(build_tiny_sd3(tmp_path / "sd3"), family="sd3", sampler="flow_euler")
    runner = runner_with(room_for("streamed", request), weights="full")
    model = loaded(runner, request)
    assert model.parts is not None
    denoiser = model.parts._denoiser
    whole = sum(tensor.nbytes for tensor in model.pipeline.transformer.parameters())
    assert denoiser.nbytes < whole
    seen: list[list[bool]] = []
    for part in denoiser.streamed:
        part.module.register_forward_pre_hook(
            lambda *_: seen.append([each.is_here for each in denoiser.streamed])
        )
    runner.step([begin(runner, request)])
    assert [sum(here) for here in seen] == [1] * len(denoiser.streamed)
    assert not any(part.is_here for part in denoiser.streamed)


def test_loras_come_along_with_streamed_blocks(tmp_path: Path, tiny_model_dir: Path) -> None:
    plenty = runner_with(Room(PLENTY, PLENTY), weights="full")
    request = ask(tiny_model_dir)
    loaded(plenty, request).wait_beside()
    lora = LoraSource("slopes", str(unet_lora(plenty, request, tmp_path)), 1.0)
    dressed = ask(tiny_model_dir, loras=(lora,))
    expected = draw(plenty, dressed)[1].pixels
    streaming = runner_with(room_for("streamed", request), weights="full")
    assert draw(streaming, dressed)[1].pixels == expected


# The machine's memory


def test_weights_wait_in_few_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many tensors as Stable Diffusion XL has, in a thousandth of its size."""
    monkeypatch.setattr(host_copy, "BLOCK_BYTES", BLOCK_BYTES // 1000)
    tensors = [
        torch.full([1 + 13 * (number % 97)], number, dtype=torch.float32) for number in range(2600)
    ]
    asked: list[int] = []

    def empty(size: int) -> torch.Tensor:
        asked.append(size)
        return torch.empty(size, dtype=torch.uint8)

    copy = HostCopy(tensors, empty=empty)
    total = sum(tensor.nbytes for tensor in tensors)
    assert len(asked) <= 1 + -(-sum(asked) // (BLOCK_BYTES // 1000 * 0.9))
    assert sum(asked) < total * 1.06
    copy.settle()
    assert all((tensor == number).all() for number, tensor in enumerate(tensors))
    assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == len(asked)


def test_a_copy_keeps_strides_and_formats(tiny_model_dir: Path) -> None:
    lasting = torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last)
    tensors = [
        lasting,
        torch.arange(7),
        torch.randn(9).to(torch.float8_e4m3fn),
        torch.randn(6, 6).t(),
        torch.empty(0),
        torch.tensor(3.0, dtype=torch.bfloat16),
    ]
    before = [(tensor.clone(), tensor.stride(), tensor.dtype) for tensor in tensors]
    HostCopy(tensors).settle()
    for tensor, (values, strides, dtype) in zip(tensors, before, strict=True):
        assert tensor.stride() == strides
        assert tensor.dtype == dtype
        assert torch.equal(tensor.float(), values.float())


def test_a_copy_that_finds_no_memory_changes_nothing() -> None:
    tensors = [torch.ones(3), torch.ones(4)]
    places = [tensor.data_ptr() for tensor in tensors]

    def empty(_size: int) -> torch.Tensor:
        raise RuntimeError("CUDA error: out of memory")

    with pytest.raises(RuntimeError):
        HostCopy(tensors, empty=empty)
    assert [tensor.data_ptr() for tensor in tensors] == places


def test_a_model_that_waits_lies_in_one_block(tiny_model_dir: Path) -> None:
    model = loaded(runner_with(Room(PLENTY, PLENTY)), ask(tiny_model_dir))
    model.wait_beside()
    assert len({tensor.untyped_storage().data_ptr() for tensor in weights_of(model.pipeline)}) == 1
