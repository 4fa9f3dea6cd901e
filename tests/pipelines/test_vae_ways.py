"""Decoding and encoding without room: others make way, then half precision, then tiles."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image

from tests.pipelines.drawing import ask, ask_for, begin, draw, start_picture, step_all
from tests.pipelines.tiny_chat_models import (
    build_tiny_flux2_klein,
    build_tiny_qwen_image,
    build_tiny_z_image,
)
from tests.pipelines.tiny_models import build_variant
from tests.pipelines.tiny_transformers import build_tiny_flux, build_tiny_sd3
from worker.config import EngineConfig
from worker.engine.errors import OutOfMemory
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.vae_ways import WAYS, VaeTask, Way, peak_bytes, working

CPU = EngineConfig(device="cpu", preview_every=0)
WIDE: dict[str, Any] = {"width_px": 256, "height_px": 128}  # tiles of the tiny VAE are 128 px
STARTER = Path(__file__).parents[2] / "worker" / "starter"


@dataclass
class ShortMemory:
    """What a VAE may hold: more latents in one call than `whole`, or `half` in bfloat16, is more
    than there is. `tries`: (numbers, dtype) of every call."""

    whole: float = float("inf")
    half: float = float("inf")
    others: float = 0  # latents less while another model is on the device
    runner: DiffusersRunner | None = None
    tries: list[tuple[int, torch.dtype]] = field(default_factory=list)

    def take(self, area: int, dtype: torch.dtype) -> None:
        self.tries.append((area, dtype))
        most = self.half if dtype == torch.bfloat16 else self.whole
        if self.runner is not None and len(self.runner.gauges().resident) > 1:
            most -= self.others
        if area > most:
            raise torch.OutOfMemoryError("CUDA out of memory, as injected")

    @contextmanager
    def of(self, vae: AutoencoderKL) -> Iterator[None]:
        """The VAE's own halves with so much memory."""
        decode, encode = vae.decoder.forward, vae.encoder.forward

        def decode_within(latents: torch.Tensor, *rest: Any, **named: Any) -> Any:
            self.take(latents.shape[-1] * latents.shape[-2], vae.decoder.conv_in.weight.dtype)
            return decode(latents, *rest, **named)

        def encode_within(picture: torch.Tensor, *rest: Any, **named: Any) -> Any:
            area = picture.shape[-1] * picture.shape[-2] // 64
            self.take(area, vae.encoder.conv_in.weight.dtype)
            return encode(picture, *rest, **named)

        vae.decoder.forward, vae.encoder.forward = decode_within, encode_within
        try:
            yield
        finally:
            del vae.decoder.forward, vae.encoder.forward


AREA = 32 * 16  # latents of the image asked for


@pytest.fixture
def runner() -> DiffusersRunner:
    return DiffusersRunner(CPU)


def vae_of(runner: DiffusersRunner, request: Any) -> AutoencoderKL:
    runner.make_resident(request.model)
    vae: AutoencoderKL = runner._models.resident(request.model).pipeline.vae
    return vae


def difference(one: bytes, other: bytes) -> np.ndarray[Any, Any]:
    """Of each value, in levels of 255."""
    first, second = (np.frombuffer(pixels, np.uint8).astype(int) for pixels in (one, other))
    levels: np.ndarray[Any, Any] = np.abs(first - second)
    return levels


def test_an_image_too_large_to_decode_whole_is_decoded_in_half_precision(
    runner: DiffusersRunner, tiny_model_dir: Path
) -> None:
    request = ask(tiny_model_dir, **WIDE)
    _, whole = draw(runner, request)
    vae, memory = vae_of(runner, request), ShortMemory(whole=AREA - 1)
    before = {name: tensor.clone() for name, tensor in vae.state_dict().items()}
    with memory.of(vae):
        _, half = draw(runner, request)
    assert memory.tries == [(AREA, torch.float32), (AREA, torch.bfloat16)]
    assert (whole.fingerprint["decoded"], half.fingerprint["decoded"]) == ("whole", "half")
    assert 0 < difference(whole.pixels, half.pixels).mean() < 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in vae.state_dict().items())


def test_tiles_come_last_and_are_small_enough(
    runner: DiffusersRunner, tiny_model_dir: Path
) -> None:
    request = ask(tiny_model_dir, **WIDE)
    vae, memory = vae_of(runner, request), ShortMemory(whole=16 * 16, half=AREA - 1)
    with memory.of(vae):
        _, image = draw(runner, request)
    assert memory.tries[:2] == [(AREA, torch.float32), (AREA, torch.bfloat16)]
    assert max(area for area, _ in memory.tries[2:]) == 16 * 16
    assert image.fingerprint["decoded"] == "tiles"
    assert not vae.use_tiling


def test_flux2s_vae_goes_the_same_ways(runner: DiffusersRunner, tmp_path: Path) -> None:
    path = build_tiny_flux2_klein(tmp_path / "klein")
    asked = {"family": "flux2_klein", "sampler": "flow_euler", "negative_prompt": ""}
    request = ask(path, **asked, **WIDE)
    _, whole = draw(runner, request)
    vae = vae_of(runner, request)
    before = {name: tensor.clone() for name, tensor in vae.state_dict().items()}
    with ShortMemory(whole=AREA - 1).of(vae):
        _, half = draw(runner, request)
    runner._models.resident(request.model).vae_ways.forget()
    with ShortMemory(whole=16 * 16, half=0).of(vae):
        _, tiled = draw(runner, request)
    assert [each.fingerprint["decoded"] for each in (half, tiled)] == ["half", "tiles"]
    assert 0 < difference(whole.pixels, half.pixels).mean() < 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in vae.state_dict().items())


def test_a_vae_of_videos_goes_in_tiles_alone(runner: DiffusersRunner, tmp_path: Path) -> None:
    path = build_tiny_qwen_image(tmp_path / "qwen")
    request = ask(path, family="qwen_image", sampler="flow_euler", width_px=512, height_px=64)
    vae = vae_of(runner, request)
    with ShortMemory(whole=63 * 8).of(vae):
        _, image = draw(runner, request)
    assert image.fingerprint["decoded"] == "tiles"
    assert not vae.use_tiling
    small = ask(path, family="qwen_image", sampler="flow_euler")
    with ShortMemory().of(vae):
        assert draw(runner, small)[1].fingerprint["decoded"] == "whole"


def test_the_tiles_of_a_large_model_are_smaller_than_its_images(
    runner: DiffusersRunner, tiny_model_dir: Path, tmp_path: Path
) -> None:
    """Files of large models name their whole size as that of a tile."""
    large = build_variant(tiny_model_dir, tmp_path / "large", vae={"sample_size": 1024})
    request = ask(large, width_px=1024, height_px=64, steps=1)
    vae, memory = vae_of(runner, request), ShortMemory(whole=64 * 8, half=0)
    with memory.of(vae):
        _, image = draw(runner, request)
    assert image.fingerprint["decoded"] == "tiles"
    assert (vae.tile_sample_min_size, vae.tile_latent_min_size) == (1024, 128)


def test_the_next_image_of_that_size_pays_for_no_failing_try(
    runner: DiffusersRunner, tiny_model_dir: Path
) -> None:
    request = ask(tiny_model_dir, **WIDE)
    vae, memory = vae_of(runner, request), ShortMemory(whole=AREA - 1)
    with memory.of(vae):
        draw(runner, request)
        memory.tries.clear()
        _, second = draw(runner, request)
        assert memory.tries == [(AREA, torch.bfloat16)]
        assert second.fingerprint["decoded"] == "half"
        _, small = draw(runner, ask(tiny_model_dir))
    assert small.fingerprint["decoded"] == "whole"


def test_an_image_that_even_tiles_have_no_room_for_is_out_of_memory(
    runner: DiffusersRunner, tiny_model_dir: Path
) -> None:
    denoising = begin(runner, ask(tiny_model_dir, **WIDE))
    step_all(runner, [denoising])
    with (
        ShortMemory(whole=0, half=0).of(denoising.model.pipeline.vae),
        pytest.raises(OutOfMemory, match="too large for the memory"),
    ):
        runner.finish(denoising)
    assert runner.finish(denoising).fingerprint["decoded"] == "whole"  # nothing was lost


@pytest.mark.parametrize(
    ("half", "way", "exact"), [(0, "tiles", "no"), (AREA, "half", "no"), (None, "whole", "yes")]
)
def test_an_exact_image_that_was_not_decoded_in_one_piece_does_not_say_that_it_is_exact(
    runner: DiffusersRunner, tiny_model_dir: Path, half: int | None, way: str, exact: str
) -> None:
    request = ask(tiny_model_dir, exact=True, **WIDE)
    whole = AREA if half is None else 16 * 16
    with ShortMemory(whole=whole, half=AREA if half is None else half).of(vae_of(runner, request)):
        _, image = draw(runner, request)
    assert (image.fingerprint["decoded"], image.fingerprint["exact"]) == (way, exact)


def test_half_precision_is_of_no_use_to_a_vae_that_works_in_it(tiny_model_dir: Path) -> None:
    runner = DiffusersRunner(EngineConfig(device="cpu", dtype="float16", preview_every=0))
    request = ask(tiny_model_dir, **WIDE)
    vae, memory = vae_of(runner, request), ShortMemory(whole=16 * 16, half=0)
    with memory.of(vae):
        _, image = draw(runner, request)
    assert {dtype for _, dtype in memory.tries} == {torch.float16}
    assert image.fingerprint["decoded"] == "tiles"


# Others make way first


@pytest.mark.parametrize("exact", [False, True])
def test_other_models_leave_before_anything_is_lost(
    tiny_model_dir: Path, tmp_path: Path, exact: bool
) -> None:
    runner = DiffusersRunner(CPU)
    other = ask(Path(shutil.copytree(tiny_model_dir, tmp_path / "other")))
    request = ask(tiny_model_dir, exact=exact, **WIDE)
    _, alone = draw(runner, request)
    runner.make_resident(other.model)
    vae = vae_of(runner, request)
    memory = ShortMemory(whole=AREA, half=AREA, others=1, runner=runner)
    with memory.of(vae):
        _, image = draw(runner, request)
        assert memory.tries == [(AREA, torch.float32)] * 2
        assert not runner.is_resident(other.model)
        assert image.fingerprint["decoded"] == "whole"
        assert image.pixels == alone.pixels
        # known now: the other leaves before the first try
        runner.make_resident(other.model)
        memory.tries.clear()
        draw(runner, request)
    assert memory.tries == [(AREA, torch.float32)]


def test_graphs_are_let_go_only_if_that_helps(
    runner: DiffusersRunner, tiny_model_dir: Path
) -> None:
    request = ask(tiny_model_dir, **WIDE)
    vae = vae_of(runner, request)
    ways = runner._models.resident(request.model).vae_ways
    asked: list[str] = []

    def nothing() -> bool:
        asked.append("models")
        return False

    def graphs() -> bool:
        asked.append("graphs")
        return False

    ways.reliefs = (nothing, graphs)
    with ShortMemory(whole=AREA - 1).of(vae):
        draw(runner, request)
        assert asked == ["models", "graphs"]
        draw(runner, request)
    assert asked == ["models", "graphs"]


def test_what_the_figures_rule_out_is_not_tried(
    runner: DiffusersRunner, tiny_model_dir: Path
) -> None:
    request = ask(tiny_model_dir, **WIDE)
    vae = vae_of(runner, request)
    ways = runner._models.resident(request.model).vae_ways
    needed = peak_bytes(vae, VaeTask("decode", 256, 128), 4)
    ways.available = lambda: needed // 2
    memory = ShortMemory()
    with memory.of(vae):
        _, image = draw(runner, request)
    assert memory.tries == [(AREA, torch.bfloat16)]
    assert image.fingerprint["decoded"] == "half"


def test_the_peak_of_large_vaes_is_known_beforehand() -> None:
    """Counted, op by op, on the sizes of Stable Diffusion XL: 3.23 GB at 1024 px in float32."""
    with torch.device("meta"):
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
        )
    for side_px, task, gigabytes in (
        (1024, "decode", 3.2),
        (2048, "decode", 12.9),
        (1024, "encode", 2.7),
    ):
        peak = peak_bytes(vae, VaeTask(task, side_px, side_px), 4)  # type: ignore[arg-type]
        assert peak / 1e9 == pytest.approx(gigabytes, rel=0.02)


# Start images


@pytest.fixture(params=["sd", "sdxl", "sd3", "flux", "z_image"])
def family(
    request: pytest.FixtureRequest, tiny_model_dir: Path, tiny_sdxl_dir: Path, tmp_path: Path
) -> tuple[str, Path, dict[str, Any]]:
    """The family, a model of it, and what it is asked with."""
    flow = {"sampler": "flow_euler"}
    made: dict[str, Callable[[], tuple[Path, dict[str, Any]]]] = {
        "sd": lambda: (tiny_model_dir, {}),
        "sdxl": lambda: (tiny_sdxl_dir, {}),
        "sd3": lambda: (build_tiny_sd3(tmp_path / "sd3"), flow),
        "flux": lambda: (build_tiny_flux(tmp_path / "flux"), {**flow, "negative_prompt": ""}),
        "z_image": lambda: (build_tiny_z_image(tmp_path / "z"), flow),
    }
    return request.param, *made[request.param]()


@pytest.mark.parametrize("mode", ["image", "inpaint"])
def test_a_start_picture_is_encoded_in_half_precision_and_draws_the_same_noise(
    runner: DiffusersRunner, family: tuple[str, Path, dict[str, Any]], mode: str
) -> None:
    name, path, asked = family
    request = ask_for(mode, path, family=name, **asked)
    expected = begin(runner, request)
    memory = ShortMemory(whole=127)
    with memory.of(vae_of(runner, request)):
        denoising = begin(runner, request)
    assert memory.tries[:2] == [(128, torch.float32), (128, torch.bfloat16)]
    assert (expected.encoded, denoising.encoded) == ("whole", "half")
    assert denoising.latents.dtype == expected.latents.dtype
    # Other noise would differ by ones, not by hundredths.
    assert (denoising.latents - expected.latents).abs().max() < 0.1
    step_all(runner, [denoising])
    assert runner.finish(denoising).fingerprint["encoded"] == "half"


def test_a_start_picture_is_encoded_in_tiles_if_it_must(
    runner: DiffusersRunner, tiny_model_dir: Path
) -> None:
    request = ask(tiny_model_dir, mode="upscale", start=start_picture(), strength=0.7, **WIDE)
    with ShortMemory(whole=16 * 16, half=0).of(vae_of(runner, request)):
        denoising = begin(runner, request)
        step_all(runner, [denoising])
        fingerprint = runner.finish(denoising).fingerprint
    assert (fingerprint["encoded"], fingerprint["decoded"]) == ("tiles", "tiles")


@pytest.mark.parametrize("room", [0, 127])
def test_a_vae_that_was_taken_to_float32_is_back_after_a_failure(
    tiny_sdxl_dir: Path, room: int
) -> None:
    runner = DiffusersRunner(EngineConfig(device="cpu", dtype="float16", preview_every=0))
    request = ask_for("image", tiny_sdxl_dir, family="sdxl", steps=2)
    vae = vae_of(runner, request)
    assert (vae.dtype, vae.config.force_upcast) == (torch.float16, True)
    with ShortMemory(whole=room, half=room or 128).of(vae):
        if room:
            with pytest.raises(OutOfMemory):
                begin(runner, request)
        else:
            assert begin(runner, request).encoded == "half"
    assert (vae.dtype, vae.config.force_upcast) == (torch.float16, True)


# What is seen of it


def test_what_half_precision_and_tiles_cost_on_a_trained_model() -> None:
    """Half precision is hardly to be seen; tiles are: that is why they come last and are told."""
    vae = AutoencoderKL.from_pretrained(STARTER / "pipeline" / "vae").eval()
    sheet = Image.open(STARTER / "sheet.webp").convert("RGB").resize((384, 384))
    values = torch.tensor(np.asarray(sheet)).permute(2, 0, 1)[None].float() / 127.5 - 1
    decoded: dict[Way, torch.Tensor] = {}
    with torch.no_grad():
        latents = vae.encode(values).latent_dist.mode()
        for way in WAYS:
            with working(vae, way):
                decoded[way] = ((vae.decode(latents).sample.clamp(-1, 1) + 1) * 127.5).round()
    half, tiles = ((decoded["whole"] - decoded[way]).abs() for way in WAYS[1:])
    assert half.mean() < 1
    assert half.max() <= 8
    assert 0.5 < tiles.mean() < 3
    assert 12 < tiles.max() < 48
