"""What a model that no adapter knows says of itself, and how it is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
from diffusers.utils import DummyObject

from tests.pipelines.tiny_others import build_tiny_lumina2, build_tiny_sana
from tests.pipelines.tiny_transformers import build_tiny_flux, build_tiny_pixart, build_tiny_sd3
from worker.config import EngineConfig
from worker.engine.errors import ModelUnavailable
from worker.engine.request import ModelSource
from worker.pipelines import plain
from worker.pipelines.inspect import inspect_path
from worker.pipelines.loader import load_model
from worker.pipelines.other import Defaults, describe

BUILDERS: dict[str, Callable[[Path], Path]] = {
    "pixart": build_tiny_pixart,
    "sana": build_tiny_sana,
    "lumina2": build_tiny_lumina2,
    "sd3": build_tiny_sd3,
    "flux": build_tiny_flux,
}
SAID = {
    "pixart": Defaults(256, 16, uses_negative_prompt=True, steps=20, guidance_scale=4.5),
    "sana": Defaults(1024, 8, uses_negative_prompt=True, steps=20, guidance_scale=4.5),
    "lumina2": Defaults(128, 16, uses_negative_prompt=True, steps=30, guidance_scale=4.0),
    "sd3": Defaults(128, 16, uses_negative_prompt=True, steps=28, guidance_scale=7.0),
    "flux": Defaults(1024, 16, uses_negative_prompt=False, steps=28, guidance_scale=3.5),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("others")
    return {name: build(root / name) for name, build in BUILDERS.items()}


@pytest.mark.parametrize("name", BUILDERS)
def test_a_pipeline_says_what_a_model_begins_with(folders: dict[str, Path], name: str) -> None:
    assert describe(folders[name]) == SAID[name]


@pytest.mark.parametrize("name", BUILDERS)
def test_the_grid_that_configurations_tell_is_the_one_of_the_loaded_pipeline(
    folders: dict[str, Path], name: str
) -> None:
    family = inspect_path(folders[name]).family or ""
    source = ModelSource(name, family, "folder", str(folders[name]))
    loaded = load_model(source, EngineConfig(device="cpu"))
    assert plain.size_multiple(loaded.pipeline) == describe(folders[name]).grid_px


def refusal(path: Path) -> str:
    with pytest.raises(ModelUnavailable) as refused:
        describe(path)
    return refused.value.sentence


def changed(folder: Path, path: Path, **entries: Any) -> Path:
    """A copy of the model with other entries in its index; None takes one out."""
    shutil.copytree(folder, path)
    index = json.loads((path / "model_index.json").read_text()) | entries
    index = {name: entry for name, entry in index.items() if entry is not None}
    (path / "model_index.json").write_text(json.dumps(index))
    return path


@pytest.mark.parametrize(
    "class_name",
    [
        "FluxImg2ImgPipeline",
        "WanPipeline",
        "HeliosPipeline",  # a video, though diffusers lists it with those that make images
        "FluxControlPipeline",  # steered by another image, though listed too
        "QwenImageControlNetPipeline",
        "AudioLDM2Pipeline",
    ],
)
def test_what_makes_no_images_from_text_alone_is_refused(tmp_path: Path, class_name: str) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": class_name}))
    assert refusal(tmp_path) == f"{class_name} does not make images from text alone."


def test_a_class_that_this_version_of_diffusers_does_not_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "MadeUpPipeline"}))
    sentence = f"MadeUpPipeline is not a pipeline of diffusers {diffusers.__version__}."
    assert refusal(tmp_path) == sentence


def test_a_class_whose_packages_are_not_here_is_refused(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    dummy = DummyObject("SanaPipeline", (), {"_backends": ["torch", "sentencepiece"]})
    monkeypatch.setattr(diffusers, "SanaPipeline", dummy)
    sentence = "SanaPipeline needs packages that are not here, of torch, sentencepiece."
    assert refusal(folders["sana"]) == sentence


def test_a_pipeline_that_takes_no_size_is_refused(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def called(self: Any, prompt: str, height: int = 64) -> None: ...

    monkeypatch.setattr(diffusers.SanaPipeline, "__call__", called)
    sentence = "SanaPipeline cannot be drawn with here. This model does not take a width."
    assert refusal(folders["sana"]) == sentence


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({"text_encoder": None}, "changed lacks its component text_encoder."),
        ({"vae": [None, None]}, "changed lacks its component vae."),
        (
            {"vae": ["diffusers", "MadeUpVAE"]},
            r"has a vae that diffusers \S+ does not know",
        ),
    ],
)
def test_components_that_are_not_there_are_named(
    folders: dict[str, Path], tmp_path: Path, entries: dict[str, Any], sentence: str
) -> None:
    path = changed(folders["sana"], tmp_path / "changed", **entries)
    with pytest.raises(ModelUnavailable, match=sentence):
        describe(path)


def test_configurations_that_do_not_fit_together_are_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    path = changed(folders["sana"], tmp_path / "changed")
    (path / "vae" / "config.json").write_text('{"encoder_block_out_channels": null}')
    assert refusal(path) == "The configurations in changed do not fit SanaPipeline."
