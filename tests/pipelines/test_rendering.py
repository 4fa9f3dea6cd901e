"""Images through the engine: they are diffusers' images, with progress, previews and refusals.

That every family, mode and sampler is exact is checked without the engine, in `test_exact_*`.
"""

import io
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image

from tests.pipelines.drawing import ask, diffusers_drawing
from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.engine.errors import Cancelled, InvalidRequest, OutOfMemory
from worker.engine.request import Progress, RenderedImage
from worker.pipelines.previews import fit_preview
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.samplers import SAMPLERS
from worker.pipelines.stable_diffusion import StableDiffusion

WAIT_S = 60.0


def picture_of(image: RenderedImage) -> Image.Image:
    return Image.frombytes("RGB", (image.width_px, image.height_px), image.pixels)


@pytest.mark.parametrize("sampler", ["ddim", "euler_a", "heun", "unipc"])
@pytest.mark.parametrize("guidance_scale", [0.0, 7.5])
def test_a_picture_drawn_alone_is_exactly_what_diffusers_draws(
    engine: Engine, tiny_model_dir: Path, sampler: str, guidance_scale: float
) -> None:
    request = ask(tiny_model_dir, sampler=sampler, guidance_scale=guidance_scale)
    image = engine.submit(request).result(WAIT_S)
    assert image.pixels == diffusers_drawing("StableDiffusionPipeline", request).pixels


def test_an_exact_picture_is_exact_whoever_else_is_drawing(
    engine: Engine, tiny_model_dir: Path
) -> None:
    exact = ask(tiny_model_dir, sampler="euler_a", exact=True)
    others = [engine.submit(ask(tiny_model_dir, seed=seed, steps=20)) for seed in range(3)]
    image = engine.submit(exact).result(WAIT_S)
    assert image.pixels == diffusers_drawing("StableDiffusionPipeline", exact).pixels
    assert image.fingerprint["exact"] == "yes"
    assert all(other.result(WAIT_S) for other in others)


def test_stable_diffusion_xl_draws_exactly_what_diffusers_draws(
    engine: Engine, tiny_sdxl_dir: Path
) -> None:
    request = ask(tiny_sdxl_dir, family="sdxl", sampler="euler", negative_prompt="")
    seen: list[Progress] = []
    image = engine.submit(request, on_progress=seen.append).result(WAIT_S)
    assert image.pixels == diffusers_drawing("StableDiffusionXLPipeline", request).pixels
    stages = [stage for stage, _ in itertools.groupby(seen, key=lambda progress: progress.stage)]
    assert stages == ["waiting", "loading", "encoding", "denoising", "decoding"]
    assert any(progress.preview for progress in seen)


def test_flux_draws_exactly_what_diffusers_draws(engine: Engine, tiny_flux_dir: Path) -> None:
    request = ask(tiny_flux_dir, family="flux", sampler="flow_euler", negative_prompt="")
    seen: list[Progress] = []
    image = engine.submit(request, on_progress=seen.append).result(WAIT_S)
    assert image.pixels == diffusers_drawing("FluxPipeline", request).pixels
    assert {0} < {progress.preview_step for progress in seen if progress.preview} < set(range(7))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sampler": "euler"}, "The sampler euler does not fit this model; it takes flow_euler"),
        ({"negative_prompt": "a dog"}, "does not take a negative prompt"),
        ({"width_px": 136}, "multiples of 16"),
    ],
)
def test_what_flux_cannot_do_is_refused_with_a_sentence(
    engine: Engine, tiny_flux_dir: Path, changes: dict[str, Any], sentence: str
) -> None:
    settings = {"sampler": "flow_euler", "negative_prompt": ""} | changes
    with pytest.raises(InvalidRequest, match=sentence):
        engine.submit(ask(tiny_flux_dir, family="flux", **settings)).result(WAIT_S)


@pytest.mark.slow("draws with all samplers", unless_changed="worker")
def test_every_sampler_draws_another_picture(engine: Engine, tiny_model_dir: Path) -> None:
    futures = [engine.submit(ask(tiny_model_dir, sampler=sampler)) for sampler in SAMPLERS]
    assert len({future.result(WAIT_S).pixels for future in futures}) == len(SAMPLERS)


def test_the_same_seed_draws_the_same_picture_and_another_seed_another(
    engine: Engine, tiny_model_dir: Path
) -> None:
    seeds = (1, 1, 2, 2**64 - 1)
    futures = [engine.submit(ask(tiny_model_dir, sampler="euler_a", seed=seed)) for seed in seeds]
    first, again, *others = (future.result(WAIT_S).pixels for future in futures)
    assert first == again
    assert len({first, *others}) == 3


def test_the_negative_prompt_changes_the_picture(engine: Engine, tiny_model_dir: Path) -> None:
    with_it = engine.submit(ask(tiny_model_dir, guidance_scale=15.0))
    without = engine.submit(ask(tiny_model_dir, guidance_scale=15.0, negative_prompt=""))
    assert with_it.result(WAIT_S).pixels != without.result(WAIT_S).pixels


def test_a_picture_carries_its_size_timings_and_fingerprint(
    engine: Engine, tiny_model_dir: Path
) -> None:
    image = engine.submit(ask(tiny_model_dir)).result(WAIT_S)
    assert picture_of(image).size == (128, 64)
    timings = image.timings
    spent = (timings.load_s, timings.encode_s, timings.denoise_s, timings.decode_s)
    assert all(seconds > 0 for seconds in spent)
    assert {"device", "gpu", "torch", "diffusers", "dtype"} <= set(image.fingerprint)
    assert image.fingerprint["dtype"] == "float32"
    assert image.fingerprint["torch"] == torch.__version__
    assert len(image.times) == 6
    assert list(image.times) == sorted(image.times, reverse=True)


def test_previews_arrive_while_the_picture_develops(engine: Engine, tiny_model_dir: Path) -> None:
    seen: list[Progress] = []
    engine.submit(ask(tiny_model_dir), on_progress=seen.append).result(WAIT_S)
    previews = {progress.preview_step: progress.preview for progress in seen if progress.preview}
    # The first is the noise. None after the last step: the image itself follows. One is left
    # out while the one before it is still being made.
    assert {0} < set(previews) < {0, 1, 2, 3, 4, 5, 6}
    for preview in previews.values():
        assert len(preview) <= 6 * 1024
        assert Image.open(io.BytesIO(preview)).size == (128, 64)


def test_previews_do_not_change_the_picture(tiny_model_dir: Path) -> None:
    pixels = set()
    for preview_every in (0, 1):
        runner = DiffusersRunner(EngineConfig(device="cpu", preview_every=preview_every))
        image = runner.render(
            ask(tiny_model_dir), on_step=lambda *_: None, should_stop=lambda: False
        )
        pixels.add(image.pixels)
    assert len(pixels) == 1


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_cancelling_stops_the_denoiser_within_one_step(
    engine: Engine, tiny_model_dir: Path, tiny_sdxl_dir: Path, family: str
) -> None:
    steps_seen = []

    def cancel_at_third_step(progress: Progress) -> None:
        steps_seen.append(progress.step)
        if progress.stage == "denoising" and progress.step == 3:
            engine.cancel(progress.request_id)

    path = tiny_model_dir if family == "sd" else tiny_sdxl_dir
    request = ask(path, family=family, steps=500)
    with pytest.raises(Cancelled):
        engine.submit(request, on_progress=cancel_at_third_step).result(WAIT_S)
    assert max(steps_seen) == 3


def test_the_engine_draws_on_after_a_cancelled_picture(
    engine: Engine, tiny_model_dir: Path
) -> None:
    expected = engine.submit(ask(tiny_model_dir, sampler="unipc")).result(WAIT_S).pixels

    def cancel_at_once(progress: Progress) -> None:
        engine.cancel(progress.request_id)

    cancelled = ask(tiny_model_dir, steps=500, sampler="unipc")
    future = engine.submit(cancelled, on_progress=cancel_at_once)
    with pytest.raises(Cancelled):
        future.result(WAIT_S)
    assert engine.submit(ask(tiny_model_dir, sampler="unipc")).result(WAIT_S).pixels == expected


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sampler": "dpm_fast"}, "The sampler dpm_fast does not fit this model"),
        ({"sampler": "flow_euler"}, "The sampler flow_euler does not fit this model"),
        ({"width_px": 100}, "multiples of 8"),
        ({"sampler": "lcm", "steps": 51}, "The sampler LCM cannot do 51 steps"),
        ({"sampler": "tcd", "steps": 51}, "The sampler TCD cannot do 51 steps"),
    ],
)
def test_what_the_model_cannot_do_is_refused_with_a_sentence(
    engine: Engine, tiny_model_dir: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        engine.submit(ask(tiny_model_dir, **changes)).result(WAIT_S)


def test_running_out_of_memory_fails_one_picture_and_says_so(
    engine: Engine, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(StableDiffusion, "decode", no_room)
        with pytest.raises(OutOfMemory, match="too large for the memory"):
            engine.submit(ask(tiny_model_dir)).result(WAIT_S)
    assert engine.submit(ask(tiny_model_dir)).result(WAIT_S)


def test_a_preview_shows_where_the_colours_of_the_picture_are() -> None:
    # One level and random weights: nothing learnt, but colours survive the encoder.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        vae = AutoencoderKL(
            block_out_channels=(16,), norm_num_groups=1, mid_block_add_attention=False
        )
    preview = fit_preview(vae)
    assert preview is not None
    field = torch.zeros(1, 3, 64, 64)  # red on the left, blue on the right
    field[:, 0, :, :32] = 1
    field[:, 2, :, 32:] = 1
    with torch.no_grad():
        latents = vae.encode(field * 2 - 1).latent_dist.mode() * vae.config.scaling_factor
    shown = Image.open(io.BytesIO(preview.render(latents[0]))).convert("RGB")
    left_red, _, left_blue, right_red, _, right_blue = shown.resize(
        (2, 1), Image.Resampling.BOX
    ).tobytes()
    assert left_red > right_red + 20
    assert right_blue > left_blue + 20
