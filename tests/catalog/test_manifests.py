"""Each host can tell whether it has the files that were added."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError

from tests.people import make_model
from webapp.catalog.manifests import PIECE_BYTES, PIECES, compare_manifest, take_manifest
from webapp.catalog.models import DiffusionModel, ModelManifest
from webapp.core.models import Notice
from webapp.generation.queueing.serving import WRONG_FOR_S, HostFiles

Manage = Callable[..., str]

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model as far as its files go, with weights of two megabytes."""
    made = tmp_path / "models" / "one"
    for name in ("unet", "scheduler"):
        (made / name).mkdir(parents=True)
    (made / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    (made / "scheduler" / "scheduler_config.json").write_text("{}")
    (made / WEIGHTS).write_bytes(bytes(range(256)) * 8192)
    (made / "README.md").write_text("A model card.")
    return made


@pytest.fixture
def model(db: None, settings: LazySettings, folder: Path) -> DiffusionModel:
    settings.MODELS_ROOT = folder.parent
    return make_model("one", location="one")


def change(file: Path, *, at: int) -> None:
    """Turns one byte over."""
    content = bytearray(file.read_bytes())
    content[at] ^= 0xFF
    file.write_bytes(content)


def test_a_manifest_names_what_a_pipeline_loads(folder: Path) -> None:
    (folder / "vocabulary.json").write_text("{}")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "notes.json").write_text("{}")
    assert list(take_manifest(folder)) == [
        "model_index.json",
        "scheduler/scheduler_config.json",
        WEIGHTS,
    ]


def test_a_single_file_has_its_configuration_beside_it(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "single.safetensors"
    file.write_bytes(b"weights")
    shutil.copytree(folder, tmp_path / "single.config", ignore=shutil.ignore_patterns("unet"))
    assert list(take_manifest(file)) == [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "single.safetensors",
    ]


@pytest.mark.parametrize("at", [0, PIECE_BYTES, 2_097_151])
def test_other_weights_of_the_same_size_are_told_apart(
    model: DiffusionModel, folder: Path, at: int
) -> None:
    assert compare_manifest(model=model, manifest=take_manifest(folder)) == []
    for place in range(at % PIECE_BYTES, 2_097_152, PIECE_BYTES):
        change(folder / WEIGHTS, at=place)
    assert compare_manifest(model=model, manifest=take_manifest(folder)) == [WEIGHTS]


def test_of_a_large_file_as_much_is_read_as_of_a_small_one(tmp_path: Path) -> None:
    large = tmp_path / "large.safetensors"
    with large.open("wb") as opened:
        opened.truncate(40_000_000_000)  # without taking room on the disk
    before = take_manifest(large)
    with large.open("r+b") as opened:
        opened.seek(-1, 2)
        opened.write(b"x")
    assert take_manifest(large) != before
    assert PIECES * PIECE_BYTES == 1024 * 1024


def test_a_file_that_is_missing_broken_off_or_too_many_differs(
    model: DiffusionModel, folder: Path
) -> None:
    compare_manifest(model=model, manifest=take_manifest(folder))
    (folder / "scheduler" / "scheduler_config.json").unlink()
    (folder / "unet" / "config.json").write_text("{}")
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1])
    differing = compare_manifest(model=model, manifest=take_manifest(folder))
    assert differing == ["scheduler/scheduler_config.json", "unet/config.json", WEIGHTS]


def test_a_host_with_other_files_does_not_draw_and_says_so_until_they_are_right(
    model: DiffusionModel, folder: Path, settings: LazySettings, tmp_path: Path
) -> None:
    assert HostFiles(host="first").are_right(model)
    now_s = 0.0
    second = HostFiles(host="second", clock_s=lambda: now_s)
    settings.MODELS_ROOT = tmp_path / "second"
    assert not second.are_right(model)
    assert not Notice.objects.exists()
    shutil.copytree(folder.parent, tmp_path / "second")
    change(tmp_path / "second" / "one" / WEIGHTS, at=5)
    for _beat in range(3):
        now_s += WRONG_FOR_S
        assert not second.are_right(DiffusionModel.objects.get())
    notice = Notice.objects.get()
    assert (notice.code, notice.times, notice.detail) == ("model_files:one:second", 1, WEIGHTS)
    assert "The files of One on second are others than were added" in notice.sentence
    shutil.rmtree(tmp_path / "second")
    shutil.copytree(folder.parent, tmp_path / "second")
    now_s += WRONG_FOR_S
    assert second.are_right(DiffusionModel.objects.get())
    assert not Notice.objects.exists()


def test_a_file_that_cannot_be_read_is_told_with_its_reason(
    model: DiffusionModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Path, *_how: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert not HostFiles(host="first").are_right(model)
    assert "Permission denied" in Notice.objects.get().detail


def test_files_are_compared_once_and_again_when_what_was_added_changes(
    model: DiffusionModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = HostFiles(host="first")
    host.are_right(model)
    host.are_right(DiffusionModel.objects.get())
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", None)
        assert host.are_right(DiffusionModel.objects.get())
    ModelManifest.objects.get().delete()
    make_other = {"files": {WEIGHTS: "0 of another host"}}
    ModelManifest.objects.create(model=model, **make_other)
    assert not host.are_right(DiffusionModel.objects.get())


def test_check_names_what_differs_and_accepts_it_on_request(
    manage_models: Manage, tiny_model_dir: Path, tmp_path: Path
) -> None:
    root = tmp_path / "models"
    shutil.copytree(tiny_model_dir, root / "tiny")
    manage_models("add", root / "tiny")
    assert manage_models("check") == "tiny: the same\n"
    change(next((root / "tiny" / "unet").glob("*.safetensors")), at=-1)
    with pytest.raises(CommandError, match=r"Other files than were added: tiny\."):
        manage_models("check")
    with pytest.raises(CommandError, match="Name the model"):
        manage_models("check", "--accept")
    assert manage_models("check", "--accept", "tiny") == "tiny: the same\n"
    assert manage_models("check", "tiny") == "tiny: the same\n"
    shutil.rmtree(root)
    assert manage_models("check") == "tiny: not on this host\n"
    with pytest.raises(CommandError, match="not on this host"):
        manage_models("check", "--accept", "tiny")
