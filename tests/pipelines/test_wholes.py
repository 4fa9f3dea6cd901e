"""Pipelines that no adapter knows: each is recognised by its folder, and draws what diffusers
draws."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from tests.pipelines.drawing import known_warnings
from tests.pipelines.tiny_wholes import WHOLES
from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.engine.errors import Cancelled, InvalidRequest, ModelUnavailable
from worker.engine.request import ImageRequest, ModelSource, Stage
from worker.pipelines.inspect import inspect_path
from worker.pipelines.other import Defaults, describe
from worker.pipelines.runner import DiffusersRunner

# diffusers warns of names that its own modules use.
pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated and will be removed:FutureWarning")
WAIT_S = 120
# By class: usual side, grid, whether it takes a negative prompt, steps, guidance.
SAID = {
    "PixArtAlphaPipeline": Defaults(256, 16, True, 20, 4.5),
    "PixArtSigmaPipeline": Defaults(256, 16, True, 20, 4.5),
    "PixArtSigmaPAGPipeline": Defaults(256, 16, True, 20, 4.5),
    "SanaPipeline": Defaults(1024, 8, True, 20, 4.5),
    "SanaPAGPipeline": Defaults(1024, 8, True, 20, 4.5),
    "Lumina2Pipeline": Defaults(128, 16, True, 30, 4.0),
    "ChromaPipeline": Defaults(1024, 16, True, 35, 5.0),
    "AuraFlowPipeline": Defaults(1024, 16, True, 50, 3.5),
    "KandinskyV22CombinedPipeline": Defaults(512, 64, True, 100, 4.0),
    "HiDreamImagePipeline": Defaults(1024, 16, True, 50, 5.0),
    "LatentConsistencyModelPipeline": Defaults(128, 8, False, 4, 8.5),
    "StableCascadeCombinedPipeline": Defaults(512, 128, True, 12, 4.0),
    "StableDiffusionPAGPipeline": Defaults(128, 8, True, 50, 7.5),
    "StableDiffusionXLPAGPipeline": Defaults(128, 8, True, 50, 5.0),
    "StableDiffusion3PAGPipeline": Defaults(128, 16, True, 28, 7.0),
}
# Its first stage guides.
CALLED = {"StableCascadeCombinedPipeline": "prior_guidance_scale"}
BINNED = ("PixArt", "Sana")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("wholes")
    made = {}
    for name, build in WHOLES.items():
        (root / name).mkdir()
        made[name] = build(root / name / "model")
    return made


@pytest.fixture(autouse=True)
def _diffusers_with_its_warnings() -> Iterator[None]:
    with known_warnings():
        yield


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    config = EngineConfig(device="cpu", threads=1, preview_every=1, resident_models=1)
    engine = Engine(DiffusersRunner(config), config)
    engine.start()
    yield engine
    engine.close()


def ask(path: Path, **changes: Any) -> ImageRequest:
    """A request of the smallest size that is no square."""
    said = SAID[path.parent.name]
    short = max(64, said.grid_px)
    values: dict[str, Any] = {
        "request_id": path.parent.name,
        "owner_id": "alice",
        "model": ModelSource(path.parent.name, "other", "folder", str(path)),
        "prompt": "a cat and a hat",
        "negative_prompt": "a dog" if said.uses_negative_prompt else "",
        "width_px": 2 * short,
        "height_px": short,
        "steps": 3,
        "guidance_scale": said.guidance_scale,
        "seed": 7,
        "sampler": "own",
    }
    return ImageRequest(**(values | changes))


def diffusers_draws(request: ImageRequest) -> bytes:
    """What the class that the folder names makes of it, called as its manual says."""
    name = request.request_id
    pipe = getattr(diffusers, name).from_pretrained(request.model.location)
    pipe.set_progress_bar_config(disable=True)
    asked: dict[str, Any] = {CALLED.get(name, "guidance_scale"): request.guidance_scale}
    if request.negative_prompt:
        asked["negative_prompt"] = request.negative_prompt
    if name.startswith(BINNED):
        asked |= {"use_resolution_binning": False, "clean_caption": False}
    image = pipe(
        prompt=request.prompt,
        width=request.width_px,
        height=request.height_px,
        num_inference_steps=request.steps,
        generator=torch.Generator("cpu").manual_seed(request.seed),
        **asked,
    ).images[0]
    return bytes(image.tobytes())


@pytest.mark.parametrize("name", WHOLES)
def test_a_folder_says_what_it_is_and_what_it_begins_with(
    folders: dict[str, Path], name: str
) -> None:
    found = inspect_path(folders[name])
    assert (found.usable, found.family) == (True, "other"), found.sentence
    assert describe(folders[name]) == SAID[name]


@pytest.mark.parametrize("name", WHOLES)
def test_it_draws_exactly_what_diffusers_draws_and_shows_previews(
    engine: Engine, folders: dict[str, Path], name: str
) -> None:
    # HiDream scales any other size to that area, and ours does not (below).
    size = {"width_px": 2048, "height_px": 512} if name.startswith("HiDream") else {}
    request = ask(folders[name], **size)
    shown: list[bytes | None] = []
    ticket = engine.submit(request, on_progress=lambda told: shown.append(told.preview))
    image = ticket.result(WAIT_S)
    assert (image.width_px, image.height_px) == (request.width_px, request.height_px)
    assert image.pixels == diffusers_draws(request)
    assert any(shown)
    assert image.timings.decode_s > 0


@pytest.mark.parametrize("name", ["PixArtSigmaPipeline", "SanaPipeline"])
def test_the_size_asked_for_is_drawn_and_not_the_nearest_of_the_models_own(
    folders: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, request = DiffusersRunner(EngineConfig(device="cpu")), ask(folders[name])
    runner.make_resident(request.model)
    transformer = runner._models.resident(request.model).pipeline.transformer
    sizes: list[tuple[int, ...]] = []
    transformer.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape[-2:]))
    runner.render(request, on_step=lambda *_: None, should_stop=lambda: False)
    height, width = sizes[0]
    assert width / height == request.width_px / request.height_px


def test_hidream_draws_the_size_asked_for_and_says_which_is_too_large(
    folders: dict[str, Path],
) -> None:
    runner = DiffusersRunner(EngineConfig(device="cpu"))
    for width_px, height_px in ((128, 64), (208, 336)):
        request = ask(folders["HiDreamImagePipeline"], width_px=width_px, height_px=height_px)
        image = runner.render(request, on_step=lambda *_: None, should_stop=lambda: False)
        assert (image.width_px, image.height_px) == (width_px, height_px)
    larger = ask(folders["HiDreamImagePipeline"], width_px=1040, height_px=1024)
    with pytest.raises(InvalidRequest, match="at most 1048576 pixels in all"):
        runner.render(larger, on_step=lambda *_: None, should_stop=lambda: False)


@pytest.mark.parametrize("name", ["StableCascadeCombinedPipeline", "KandinskyV22CombinedPipeline"])
def test_the_first_of_two_stages_can_be_stopped_at_any_step(
    folders: dict[str, Path], name: str
) -> None:
    runner, request = DiffusersRunner(EngineConfig(device="cpu")), ask(folders[name])
    runner.make_resident(request.model)
    prior, calls = runner._models.resident(request.model).pipeline.prior_prior, []
    prior.register_forward_hook(lambda *_: calls.append(1))
    heard: list[Stage] = []
    with pytest.raises(Cancelled):
        runner.render(
            request,
            on_step=lambda stage, *_: heard.append(stage),
            should_stop=lambda: len(calls) >= 2,
        )
    assert len(calls) == 2
    assert heard[-1] == "denoising"


@pytest.mark.parametrize(
    ("class_name", "combined"),
    [
        ("KandinskyV22Pipeline", "KandinskyV22CombinedPipeline"),
        ("KandinskyV22PriorPipeline", "KandinskyV22CombinedPipeline"),
        ("StableCascadeDecoderPipeline", "StableCascadeCombinedPipeline"),
        ("StableCascadePriorPipeline", "StableCascadeCombinedPipeline"),
    ],
)
def test_one_stage_alone_is_refused_and_says_how_both_come(
    tmp_path: Path, class_name: str, combined: str
) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": class_name}))
    with pytest.raises(ModelUnavailable) as refused:
        describe(tmp_path)
    assert refused.value.sentence == (
        f"{class_name} is one of two stages. Save both of them as one folder, as a {combined}."
    )


@pytest.mark.parametrize("library", ["wuerstchen", "diffusers"])
def test_the_vae_of_stable_cascade_is_found_wherever_a_folder_says_it_is(
    folders: dict[str, Path], tmp_path: Path, library: str
) -> None:
    path = tmp_path / "StableCascadeCombinedPipeline" / "model"
    shutil.copytree(folders["StableCascadeCombinedPipeline"], path)
    index = json.loads((path / "model_index.json").read_text())
    index["vqgan"] = [library, "PaellaVQModel"]
    (path / "model_index.json").write_text(json.dumps(index))
    assert inspect_path(path).usable
    runner, request = DiffusersRunner(EngineConfig(device="cpu")), ask(path)
    runner.make_resident(request.model)
    assert runner.render(request, on_step=lambda *_: None, should_stop=lambda: False).pixels


def test_hidream_without_its_fourth_encoder_says_what_it_lacks(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "model"
    shutil.copytree(folders["HiDreamImagePipeline"], path)
    index = json.loads((path / "model_index.json").read_text())
    index["text_encoder_4"] = [None, None]  # as it is published: Llama comes from its own makers
    (path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelUnavailable, match="model lacks its component text_encoder_4"):
        describe(path)
