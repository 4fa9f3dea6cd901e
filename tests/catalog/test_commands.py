"""`manage.py models`, on real files and on a hub that runs beside the test."""

import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError

from tests.people import make_model
from tests.pipelines.test_download import HUB_ID, Hub
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.catalog.selectors import list_offered_models
from webapp.operations import worker_modules

Manage = Callable[..., str]


class TouchesAFile:
    """Whoever unpickles it makes a file: what a malicious checkpoint could do, and more."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


@pytest.fixture
def hub(tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub that holds the tiny model; the command's own processes ask it."""
    hub = Hub(tiny_model_dir)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield hub
    hub.shutdown()
    thread.join()
    hub.server_close()


def refuse(manage_models: Manage, *arguments: str | Path) -> str:
    with pytest.raises(CommandError) as refused:
        manage_models(*arguments)
    return str(refused.value)


def test_a_folder_is_added_off_and_offered_on_purpose(
    manage_models: Manage, tiny_model_dir: Path, alice: User
) -> None:
    assert "Added tiny (Stable Diffusion 1.x / 2.x)." in manage_models("add", tiny_model_dir)
    assert not list_offered_models(user=alice).exists()
    manage_models("enable", "tiny")
    model = list_offered_models(user=alice).get()
    assert (model.slug, model.family, model.width_px, model.is_default) == ("tiny", "sd", 128, True)
    assert f"on  * tiny {'':19} sd    {tiny_model_dir}" in manage_models("list")
    manage_models("disable", "tiny")
    assert manage_models("list").startswith("off")


def test_a_folder_is_added_once(manage_models: Manage, tiny_model_dir: Path) -> None:
    manage_models("add", tiny_model_dir, "--slug", "one")
    assert "already, as one" in refuse(manage_models, "add", tiny_model_dir, "--slug", "two")


def test_a_taken_slug_is_refused(manage_models: Manage, tiny_model_dir: Path) -> None:
    make_model("tiny")
    assert "with --slug" in refuse(manage_models, "add", tiny_model_dir)


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--slug", "Not A Slug", "Enter a valid value"),
        ("--steps", "-3", "greater than or equal to"),
        ("--steps", "10000", "less than or equal to 150"),
        ("--size", "100", "multiple of 8, from 64 to 4096"),
        ("--size", "-8", "multiple of 8, from 64 to 4096"),
        ("--size", "99999992", "multiple of 8, from 64 to 4096"),
    ],
)
def test_options_that_will_not_do_are_refused(
    manage_models: Manage, tiny_model_dir: Path, option: str, value: str, sentence: str
) -> None:
    assert sentence in refuse(manage_models, "add", tiny_model_dir, f"{option}={value}")
    assert not DiffusionModel.objects.exists()


def test_a_pickle_checkpoint_is_refused_without_being_opened(
    manage_models: Manage, tmp_path: Path
) -> None:
    trap, checkpoint = tmp_path / "trap", tmp_path / "evil.ckpt"
    checkpoint.write_bytes(pickle.dumps(TouchesAFile(trap)))
    assert "pickle file, which could run code" in refuse(manage_models, "add", checkpoint)
    assert not trap.exists()
    pickle.loads(checkpoint.read_bytes())  # noqa: S301 - the trap works where somebody opens it
    assert trap.exists()


def test_a_pickle_inside_a_folder_or_by_another_name_is_refused_without_being_opened(
    manage_models: Manage, tmp_path: Path
) -> None:
    trap, folder = tmp_path / "trap", tmp_path / "evil"
    (folder / "unet").mkdir(parents=True)
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DModel"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(TouchesAFile(trap)))
    assert "only as pickle files" in refuse(manage_models, "add", folder)
    renamed = tmp_path / "evil.safetensors"
    renamed.write_bytes(pickle.dumps(TouchesAFile(trap)))
    assert "is a pickle file by another name" in refuse(manage_models, "add", renamed)
    assert not trap.exists()


def test_a_folder_whose_pipeline_makes_no_images_of_text_is_refused_with_a_sentence(
    manage_models: Manage, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for class_name, sentence in (
        ("WanPipeline", "WanPipeline does not make images from text alone."),
        (
            "KandinskyPipeline",
            "KandinskyPipeline is one of two stages. Save both of them as one folder, as a"
            " KandinskyCombinedPipeline.",
        ),
    ):
        (folder / "model_index.json").write_text(json.dumps({"_class_name": class_name}))
        assert refuse(manage_models, "add", folder) == sentence


def test_a_hub_model_of_another_architecture_is_added_from_its_folder(
    manage_models: Manage,
) -> None:
    said = refuse(manage_models, "add", "somebody/tiny", "--family", "other")
    assert "download fetch somebody/tiny --into FOLDER, then add that folder" in said
    assert not DiffusionModel.objects.exists()


def test_an_empty_folder_is_refused(manage_models: Manage, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "model_index.json" in refuse(manage_models, "add", tmp_path / "empty")


def test_a_hub_id_needs_its_family(manage_models: Manage) -> None:
    assert "--family sd|sdxl|sd3|flux" in refuse(manage_models, "add", "somebody/tiny")
    said = manage_models("add", "somebody/tiny", "--family", "sd")
    assert "manage.py models download tiny" in said
    assert not DiffusionModel.objects.get().is_installed


@pytest.mark.parametrize("location", ["nowhere", "/not/here", "a/b/c", "https://e.org/a", "a/b;c"])
def test_what_is_neither_here_nor_a_hub_id_is_refused(manage_models: Manage, location: str) -> None:
    assert "neither a folder or file here nor a hub id" in refuse(
        manage_models, "add", location, "--family", "sd"
    )


@pytest.mark.parametrize("action", ["enable", "disable", "download"])
def test_an_unknown_slug_is_refused(manage_models: Manage, action: str) -> None:
    assert "There is no model “nope”." in refuse(manage_models, action, "nope")


def test_a_scan_adds_what_is_new_and_names_what_will_not_do(
    manage_models: Manage, tiny_model_dir: Path, tmp_path: Path
) -> None:
    root = tmp_path / "models"
    root.mkdir()
    (root / "good").symlink_to(tiny_model_dir)
    (root / "broken.safetensors").write_bytes(b"cut off")
    said = manage_models("scan", tiny_model_dir.parent)
    assert "added tiny" in said
    said = manage_models("scan")
    assert f"left out {root / 'broken.safetensors'}" in said
    assert "already, as tiny" in manage_models("scan", tiny_model_dir.parent)
    assert [model.enabled for model in DiffusionModel.objects.all()] == [False]


def test_scanning_what_is_no_folder_is_refused(manage_models: Manage, tmp_path: Path) -> None:
    assert "is not a folder" in refuse(manage_models, "scan", tmp_path / "nothing")


def test_a_hub_model_is_downloaded_after_its_licence_was_accepted(
    manage_models: Manage,
    hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    alice: User,
) -> None:
    manage_models("add", HUB_ID, "--family", "sd")
    monkeypatch.setattr("builtins.input", lambda _question: "n")
    assert "Nothing was downloaded." in refuse(manage_models, "download", "tiny")
    assert hub.served == []
    monkeypatch.setattr("builtins.input", lambda _question: "y")
    said = manage_models("download", "tiny")
    assert "Licence: apache-2.0" in said
    assert "100.0%" in said
    manage_models("enable", "tiny")
    assert list_offered_models(user=alice).get().path == str(tmp_path / "models" / "tiny")
    assert (tmp_path / "models" / "tiny" / "model_index.json").is_file()


def test_a_gated_hub_model_ends_in_a_sentence(manage_models: Manage, hub: Hub) -> None:
    hub.gated = True
    manage_models("add", HUB_ID, "--family", "sd")
    complaint = refuse(manage_models, "download", "tiny", "--yes")
    assert complaint
    assert "Traceback" not in complaint
    assert not DiffusionModel.objects.get().is_installed


def test_a_model_that_lies_here_needs_no_download(manage_models: Manage) -> None:
    make_model("tiny")
    assert "is on this machine already" in refuse(manage_models, "download", "tiny")


def test_a_worker_that_does_not_answer_is_not_waited_for(
    manage_models: Manage, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_modules, "ANSWER_S", 0.001)
    said = refuse(manage_models, "add", tiny_model_dir)
    assert said == "worker.pipelines.inspect did not answer within 0 seconds."
    assert not DiffusionModel.objects.exists()


def test_the_command_runs_without_loading_torch(manage_models: Manage) -> None:
    script = (
        "import sys, django; django.setup()\n"
        "from webapp.operations.management.commands import models\n"
        "assert not {'torch', 'diffusers', 'worker'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)
