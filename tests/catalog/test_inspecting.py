"""`manage.py models inspect` and `scan`: what is said of many files, by one process."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.recognition import names
from tests.recognition.headers import write_header
from webapp.catalog.models import DiffusionModel
from webapp.operations import model_files
from webapp.operations.worker_modules import ask_worker_lines

Manage = Callable[..., str]


def inspect(*arguments: str | Path) -> str:
    """What the command prints; without a database, which pytest-django keeps from it."""
    said = io.StringIO()
    call_command("models", "inspect", *map(str, arguments), stdout=said)
    return said.getvalue()


def inspect_json(*arguments: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in inspect(*arguments, "--json").splitlines()]


@pytest.fixture
def folder(tmp_path: Path, tiny_model_dir: Path) -> Path:
    """A model, a LoRA, a pickle, an archive, what is no model, and a configuration of a file."""
    folder = tmp_path / "models"
    shutil.copytree(tiny_model_dir, folder / "nested" / "tiny")
    write_header(folder / "loras" / "fox.safetensors", names.KOHYA)
    (folder / "old.ckpt").write_bytes(b"\x80\x02")
    (folder / "packed.zip").write_bytes(b"PK\x03\x04")
    (folder / "README.md").write_text("Nothing to load.")
    (folder / ".hidden.safetensors").write_bytes(b"")
    write_header(folder / "fox.config" / "unet.safetensors", names.SD1)
    (folder / "back").symlink_to(folder)
    return folder


def test_a_folder_of_many_is_walked_and_each_is_a_line(folder: Path) -> None:
    found = {Path(one["path"]).name: one for one in inspect_json(folder)}
    assert {name: (one["kind"], one["usable"]) for name, one in found.items()} == {
        "tiny": ("pipeline", True),
        "fox.safetensors": ("lora", True),
        "old.ckpt": ("pickle", False),
        "packed.zip": ("archive", False),
    }
    assert found["tiny"]["architecture"] == "sd1"
    assert found["fox.safetensors"]["rank"] == 16
    assert all(one["sentence"] for one in found.values())


def test_without_json_a_table_is_printed(folder: Path) -> None:
    lines = inspect(folder / "nested", folder / "loras" / "fox.safetensors").splitlines()
    assert lines[0].startswith("yes pipeline     sd1")
    assert lines[1].startswith("yes lora         sd1 lora F16")


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is nothing at"):
        inspect(tmp_path / "nowhere")


def test_the_hash_of_a_file_is_told_when_it_is_asked_for(folder: Path) -> None:
    path = folder / "loras" / "fox.safetensors"
    (told,) = inspect_json(path)
    assert "sha256" not in told
    (told,) = inspect_json(path, "--sha256")
    assert len(told["sha256"]) == 64


def test_copies_are_told_and_other_weights_behind_the_same_header_are_not(folder: Path) -> None:
    first = write_header(folder / "loras" / "a.safetensors", names.KOHYA)
    shutil.copy(first, folder / "loras" / "b.safetensors")
    other = Path(shutil.copy(first, folder / "loras" / "c.safetensors"))
    with other.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    found = {Path(one["path"]).name: one for one in inspect_json(folder / "loras")}
    assert found["b.safetensors"]["same_as"] == str(first)
    assert "same_as" not in found["c.safetensors"]


def test_a_scan_asks_one_process_for_all_files(
    manage_models: Manage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def counted(module: str, *arguments: str, **more: Any) -> list[dict[str, Any]]:
        asked.append(module)
        return ask_worker_lines(module, *arguments, **more)

    monkeypatch.setattr(model_files, "ask_worker_lines", counted)
    said = manage_models("scan", folder)
    assert asked == ["inspect"]
    assert "added tiny from" in said
    assert f"left out {folder / 'old.ckpt'}: old.ckpt is a pickle file" in said
    assert f"added the LoRA fox from {folder / 'loras' / 'fox.safetensors'}" in said


def test_a_scan_adds_no_copy_and_finds_a_free_slug_for_another_of_the_name(
    manage_models: Manage, folder: Path, tiny_model_dir: Path
) -> None:
    shutil.copytree(tiny_model_dir, folder / "other" / "copy")
    assert "left out" in manage_models("scan", folder)
    assert DiffusionModel.objects.get().slug == "tiny"
    copies = manage_models("scan", folder / "other")
    assert "It holds the same files as the model tiny." in copies
    changed = folder / "another" / "tiny"
    shutil.copytree(tiny_model_dir, changed)
    scheduler = changed / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text() + "\n")
    assert "added tiny-2 from" in manage_models("scan", folder / "another")
