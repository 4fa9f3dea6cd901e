"""Denoisers whose weights are stored in fp8, because the device holds them in no other way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pipelines.drawing import ask, begin, draw, step_all
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
from worker.config import ConfigError, EngineConfig
from worker.engine.errors import EngineError, OutOfMemory
from worker.engine.request import ImageRequest, LoraSource
from worker.pipelines.fitting import Room, needs_of
from worker.pipelines.loader import check_weights, manners_of
from worker.pipelines.memory import weight_bytes
from worker.pipelines.sizes import measure


def test_a_denoiser_that_does_not_fit_else_is_stored_in_fp8(
    request_of: Callable[..., ImageRequest],
) -> None:
    request = request_of()
    whole = draw(whole_runner(request), request)
    runner = runner_with(room_for("beside", request), weights="fp8")
    latents, image = draw(runner, request)
    model = loaded(runner, request)
    denoiser = getattr(model.pipeline, "transformer", None) or model.pipeline.unet
    dtypes = {tensor.dtype for tensor in denoiser.parameters()}
    assert torch.float8_e4m3fn in dtypes
    assert image.fingerprint["weights"] == "fp8"
    assert not model.is_fixed
    assert latents.isfinite().all()
    assert not torch.equal(latents, whole[0])
    # Alike, and not equal: e4m3 keeps three digits.
    likeness = torch.corrcoef(torch.stack([latents.flatten(), whole[0].flatten()]))[0, 1]
    assert likeness > 0.8


def test_fp8_is_chosen_by_itself_only_if_nothing_else_fits(tmp_path: Path) -> None:
    request = ask(
        build_tiny_flux(tmp_path / "flux"),
        family="flux",
        sampler="flow_euler",
        negative_prompt="",
    )
    needs = needs_of(measure(Path(request.model.location)), 4)
    assert needs["fp8_beside"] < needs["beside"] < needs["full"]
    chosen = []
    for needed in (needs["full"], needs["beside"], needs["fp8_beside"]):
        with_room_for_images = int(needed / 0.85) + 1
        model = loaded(runner_with(Room(PLENTY, with_room_for_images, PLENTY)), request)
        chosen.append((model.weights, model.parts is not None))
    assert chosen == [("full", False), ("full", True), ("fp8", True)]


def test_what_fp8_takes_is_known_by_the_headers(request_of: Callable[..., ImageRequest]) -> None:
    request = request_of()
    runner = runner_with(Room(PLENTY, PLENTY), weights="fp8")
    model = loaded(runner, request)
    expected = needs_of(measure(Path(request.model.location)), 4)["fp8"]
    assert weight_bytes(model.pipeline) == pytest.approx(expected, rel=0.05)


def test_exact_requests_repeat_what_fp8_weights_draw(tmp_path: Path) -> None:
    request = ask(build_tiny_sd3(tmp_path / "sd3"), family="sd3", sampler="flow_euler", exact=True)
    runner = runner_with(Room(PLENTY, PLENTY), weights="fp8")
    first, second = draw(runner, request)[1], draw(runner, request)[1]
    assert first.pixels == second.pixels
    assert (first.fingerprint["exact"], first.fingerprint["weights"]) == ("yes", "fp8")


def test_weights_in_fp8_are_the_same_after_a_call_that_failed(tmp_path: Path) -> None:
    request = ask(build_tiny_sd3(tmp_path / "sd3"), family="sd3", sampler="flow_euler")
    runner = runner_with(Room(PLENTY, PLENTY), weights="fp8")
    expected = draw(runner, request)[1].pixels
    model = loaded(runner, request)
    before = weight_bytes(model.pipeline)
    denoising = begin(runner, request)
    block = model.pipeline.transformer.transformer_blocks[0].ff.net[0].proj

    def no_room(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory, as injected")

    hook = block.register_forward_hook(no_room)
    with pytest.raises(OutOfMemory):
        runner.step([denoising])
    hook.remove()
    step_all(runner, [denoising])
    assert runner.finish(denoising).pixels == expected
    assert weight_bytes(model.pipeline) == before


def test_loras_are_laid_over_weights_in_fp8(tmp_path: Path, tiny_model_dir: Path) -> None:
    runner = runner_with(Room(PLENTY, PLENTY), weights="fp8")
    request = ask(tiny_model_dir)
    plain = draw(runner, request)[1].pixels
    lora = LoraSource("slopes", str(unet_lora(runner, request, tmp_path)), 1.0)
    dressed = draw(runner, ask(tiny_model_dir, loras=(lora,)))
    assert dressed[0].isfinite().all()
    assert dressed[1].pixels != plain
    assert draw(runner, request)[1].pixels == plain


def test_the_setting_says_which_manners_there_are() -> None:
    cuda, mps = torch.device("cuda"), torch.device("mps")
    every = EngineConfig()
    auto = ("full", "beside", "fp8", "fp8_beside", "fp8_streamed")
    assert manners_of("flux", every, cuda) == auto
    assert manners_of("other", every, cuda) == ("full", "fp8")
    assert manners_of("flux", EngineConfig(weights="full"), cuda) == (
        "full",
        "beside",
        "streamed",
    )
    assert manners_of("flux", EngineConfig(weights="fp8"), cuda) == auto[2:]
    assert manners_of("flux", every, mps) == ("full", "beside")
    with pytest.raises(EngineError, match="DARKROOM_WEIGHTS=fp8"):
        check_weights(EngineConfig(weights="fp8"), mps)
    check_weights(every, mps)
    with pytest.raises(ConfigError, match="DARKROOM_WEIGHTS is 'int4'; it must be one of auto"):
        EngineConfig.from_env({"DARKROOM_WEIGHTS": "int4"})
