"""The script for the first GPU runs if there is none, and loses nothing when a section fails."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.device import first_run
from tests.device.first_run import FirstRun, main
from tests.device.sections import SECTIONS


def found_by(device: str, to: Path, *names: str) -> dict[str, Any]:
    status = main(["--device", device, "--to", str(to), "--only", ",".join(names)])
    found: dict[str, Any] = json.loads(to.read_text("utf-8"))["sections"]
    assert status == 0, found
    return found


@pytest.mark.slow("five processes that load torch", unless_changed="worker")
def test_the_sections_run_on_the_pretend_device(tmp_path: Path) -> None:
    names = ("versions", "waits", "bits", "no_room_for_a_preview", "lost_device")
    found = found_by("pretend", tmp_path / "found.json", *names)
    assert found["no_room_for_a_preview"]["image"] == "drawn"
    assert set(found["lost_device"]["images"]) == {"DeviceLost"}
    assert found["lost_device"]["the engine has ended"]
    assert all(each["as it is and from a graph"] for each in _bits(found))


@pytest.mark.slow("three processes that load torch", unless_changed="worker")
def test_the_sections_run_on_the_cpu(tmp_path: Path) -> None:
    found = found_by("cpu", tmp_path / "found.json", "bits", "sd15_rows", "small_cards")
    assert all(each["engine and diffusers"] for each in _bits(found))
    assert found["sd15_rows"]["4 rows, eager"]["rows_per_s"] > 0
    assert found["small_cards"]["12 GB"]["too large a model"].startswith("ModelUnavailable")


def _bits(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in found["bits"].values() if isinstance(each, dict)]


def test_without_a_gpu_it_says_why_and_begins_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert main(["--device", "cuda", "--to", str(tmp_path / "found.json")]) == 1
    assert capsys.readouterr().err.startswith("DARKROOM_DEVICE is cuda, but")
    assert not (tmp_path / "found.json").exists()


def first(tmp_path: Path, *, seconds: float) -> FirstRun:
    ends_s = time.monotonic() + seconds
    return FirstRun("cpu", tmp_path / "found.json", tmp_path, ends_s)


def test_a_section_that_fails_leaves_its_reason_and_the_others_what_they_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = first(tmp_path, seconds=60)
    monkeypatch.setattr(first_run, "PROJECT", tmp_path)  # where there is no such section
    run.found["versions"] = {"torch": "2"}
    assert not run.take("waits")
    kept = json.loads((tmp_path / "found.json").read_text("utf-8"))["sections"]
    assert kept["versions"] == {"torch": "2"}
    assert "tests" in kept["waits"]["failed"]


def test_a_section_ends_with_the_time_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_run, "LEAST_S", 0.01)
    run = first(tmp_path, seconds=0.3)
    assert not run.take("bits")
    assert "took longer" in run.found["bits"]["failed"]
    run.ends_s = 0.0
    assert not run.take("waits")
    assert run.found["waits"]["failed"] == "there was no time left"


def test_the_sections_fit_into_the_time_of_all_but_their_slack() -> None:
    assert sum(section.limit_s for section in SECTIONS.values()) <= 1.2 * first_run.IN_ALL_S


def test_an_unknown_section_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "dreams"])
    assert "there is no section 'dreams'" in capsys.readouterr().err
