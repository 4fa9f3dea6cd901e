"""Families without an adapter draw through their own pipeline, one image at a time."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FluxPipeline,
    HeunDiscreteScheduler,
    Kandinsky3Pipeline,
    LatentConsistencyModelPipeline,
    PixArtSigmaPipeline,
    QwenImagePipeline,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
)

from tests.pipelines.tiny_models import build_tiny_sdxl
from tests.pipelines.tiny_transformers import build_tiny_flux, build_tiny_pixart, build_tiny_sd3
from worker.config import EngineConfig
from worker.engine.errors import Cancelled, InvalidRequest
from worker.engine.request import ImageRequest, ModelSource, Stage, StartImage
from worker.pipelines import plain
from worker.pipelines.loader import LoadedModel, load_model
from worker.pipelines.pixels import Rendering
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.stages import StageClock

# diffusers hands NumPy 2 a tensor that knows no `copy` keyword; the runner accepts it, too.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
_numbers = itertools.count()
BUILDERS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "pixart": ("other", build_tiny_pixart),
    "sdxl": ("sdxl", build_tiny_sdxl),
    "sd3": ("sd3", build_tiny_sd3),
    "flux": ("flux", build_tiny_flux),
}
Heard = list[tuple[Stage, int, bytes | None]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedModel]:
    root = tmp_path_factory.mktemp("plain")
    return {
        name: load_model(
            ModelSource(name, family, "folder", str(build(root / name))), EngineConfig(device="cpu")
        )
        for name, (family, build) in BUILDERS.items()
    }


def ask(model: LoadedModel, **changes: Any) -> ImageRequest:
    is_flow = model.source.family in {"sd3", "flux"}
    values: dict[str, Any] = {
        "request_id": f"request-{next(_numbers)}",
        "owner_id": "alice",
        "model": model.source,
        "prompt": "a cat and a hat",
        "negative_prompt": "" if model.source.family == "flux" else "a dog",
        "width_px": 128,
        "height_px": 64,
        "steps": 5,
        "guidance_scale": 4.0,
        "seed": 7,
        "sampler": "flow_euler" if is_flow else "euler",
    }
    return ImageRequest(**(values | changes))


def draw(
    model: LoadedModel,
    request: ImageRequest,
    *,
    heard: Heard | None = None,
    stop_after: int | None = None,
) -> Rendering:
    """Draw plainly, noting what is heard; told to stop once `stop_after` steps are done."""
    told: Heard = [] if heard is None else heard

    def on_step(stage: Stage, step: int, _steps: int, preview: bytes | None) -> None:
        told.append((stage, step, preview))

    def should_stop() -> bool:
        return stop_after is not None and told[-1:] != [] and told[-1][1] >= stop_after

    clock = StageClock(request.steps, on_step=on_step, should_stop=should_stop)
    return plain.render(model, request, clock, preview_every=2)


def diffusers_bytes(pipeline_class: Any, request: ImageRequest, scheduler_class: Any) -> bytes:
    pipe: DiffusionPipeline = pipeline_class.from_pretrained(request.model.location)
    pipe.set_progress_bar_config(disable=True)
    if scheduler_class is not None:
        pipe.scheduler = scheduler_class.from_config(pipe.scheduler.config)
    options: dict[str, Any] = {}
    if request.negative_prompt:
        options["negative_prompt"] = request.negative_prompt
    if pipeline_class is PixArtSigmaPipeline:  # else it draws the nearest of its own sizes
        options["use_resolution_binning"] = False
    picture = pipe(
        request.prompt,
        width=request.width_px,
        height=request.height_px,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(request.seed),
        **options,
    ).images[0]
    return bytes(picture.tobytes())


@pytest.mark.parametrize(
    ("name", "pipeline_class", "scheduler_class"),
    [
        ("pixart", PixArtSigmaPipeline, EulerDiscreteScheduler),
        ("sdxl", StableDiffusionXLPipeline, EulerDiscreteScheduler),
        ("sd3", StableDiffusion3Pipeline, None),
        ("flux", FluxPipeline, None),
    ],
)
def test_a_plain_picture_is_exactly_what_diffusers_draws(
    models: dict[str, LoadedModel], name: str, pipeline_class: Any, scheduler_class: Any
) -> None:
    request = ask(models[name])
    heard: Heard = []
    drawn = draw(models[name], request, heard=heard)
    assert drawn.pixels == diffusers_bytes(pipeline_class, request, scheduler_class)
    assert (drawn.width_px, drawn.height_px) == (128, 64)
    stages = [stage for stage, _ in itertools.groupby(heard, key=lambda told: told[0])]
    assert stages == ["encoding", "denoising", "decoding"]
    assert [step for stage, step, _ in heard if stage == "denoising"] == [0, 1, 2, 3, 4, 5]
    assert {step for _, step, preview in heard if preview} == {2, 4}


@pytest.mark.parametrize(
    ("sampler", "scheduler_class"),
    [("heun", HeunDiscreteScheduler), ("dpmpp_2m", DPMSolverMultistepScheduler)],
)
def test_steps_and_stages_are_told_whatever_calls_a_sampler_needs(
    models: dict[str, LoadedModel], sampler: str, scheduler_class: Any
) -> None:
    for name, pipeline_class in (
        ("pixart", PixArtSigmaPipeline),
        ("sdxl", StableDiffusionXLPipeline),
    ):
        heard: Heard = []
        request = ask(models[name], sampler=sampler)
        drawn = draw(models[name], request, heard=heard)
        assert drawn.pixels == diffusers_bytes(pipeline_class, request, scheduler_class)
        steps = [step for stage, step, _ in heard if stage == "denoising"]
        assert steps == sorted(steps)
        assert steps[-1] == 5
        assert [stage for stage, _, _ in heard].count("decoding") == 1


@pytest.mark.parametrize("name", ["pixart", "sdxl", "sd3"])
def test_a_cancelled_picture_stops_within_one_step(
    models: dict[str, LoadedModel], name: str
) -> None:
    heard: Heard = []
    with pytest.raises(Cancelled):
        draw(models[name], ask(models[name], steps=300), heard=heard, stop_after=3)
    assert max(step for _, step, _ in heard) == 3
    request = ask(models[name])
    assert draw(models[name], request) == draw(models[name], request)


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("flux", {"negative_prompt": "a dog"}, "This model does not take a negative prompt"),
        ("pixart", {"width_px": 136}, "multiples of 16"),
        ("sdxl", {"width_px": 132}, "multiples of 8"),
        ("pixart", {"sampler": "flow_euler"}, "flow_euler does not fit this model"),
        (
            "pixart",
            {"mode": "image", "start": StartImage(bytes(3 * 128 * 64), 128, 64)},
            "This model only draws from text",
        ),
    ],
)
def test_what_the_pipeline_does_not_take_is_refused_with_a_sentence(
    models: dict[str, LoadedModel], name: str, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        draw(models[name], ask(models[name], **changes))


def test_a_pipeline_that_never_takes_a_negative_prompt_is_not_handed_one(
    models: dict[str, LoadedModel],
) -> None:
    parts = models["sdxl"].pipeline.components
    pipe = LatentConsistencyModelPipeline(
        **{name: parts[name] for name in ("vae", "text_encoder", "tokenizer", "unet")},
        scheduler=parts["scheduler"],
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with pytest.raises(InvalidRequest, match="does not take a negative prompt"):
        plain.call_arguments(pipe, ask(models["sdxl"]))


def test_guidance_goes_where_the_pipeline_looks_for_it(models: dict[str, LoadedModel]) -> None:
    request = ask(models["pixart"])
    # Real pipelines around no components: what they take is all that is asked of them here.
    qwen = QwenImagePipeline(**dict.fromkeys(QwenImagePipeline._get_signature_types()))
    arguments = plain.call_arguments(qwen, request)
    assert (arguments["true_cfg_scale"], arguments["negative_prompt"]) == (4.0, "a dog")
    assert "guidance_scale" not in arguments
    assert plain.call_arguments(models["flux"].pipeline, ask(models["flux"]))["guidance_scale"] == 4


def test_kandinsky_is_asked_for_sizes_that_it_does_not_round(
    models: dict[str, LoadedModel],
) -> None:
    pipe = Kandinsky3Pipeline(**dict.fromkeys(Kandinsky3Pipeline._get_signature_types()))
    plain.call_arguments(pipe, ask(models["pixart"], width_px=192))
    with pytest.raises(InvalidRequest, match="multiples of 64"):
        plain.call_arguments(pipe, ask(models["pixart"], width_px=160))


def test_a_image_of_another_size_than_asked_for_is_refused(
    models: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "size_multiple", lambda _pipe: 1)
    with pytest.raises(InvalidRequest, match="draws 128x64 where 136x64 is asked for"):
        draw(models["flux"], ask(models["flux"], width_px=136))


def test_the_runner_draws_a_family_without_an_adapter(models: dict[str, LoadedModel]) -> None:
    runner = DiffusersRunner(EngineConfig(device="cpu"))
    request = ask(models["pixart"])
    runner.make_resident(request.model)
    assert not runner.can_step(request.model)
    image = runner.render(request, on_step=lambda *_: None, should_stop=lambda: False)
    assert image.pixels == draw(models["pixart"], request).pixels
    assert image.timings.encode_s > 0
    assert image.timings.denoise_s > 0
    assert image.timings.decode_s > 0
