"""How `make bench` is asked, and what its exit status says."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import service
from tests.bench.bench import Bench, checkout_of
from tests.bench.figures import Figure
from tests.bench.parts import PARTS
from tests.trial import PROJECT, TrialFailedError


def quick(_bench: Bench) -> Iterator[Figure]:
    yield Figure("quick_ms", 5.0)
    yield Figure("quick_x", 1.0, 2.0)


def slow(_bench: Bench) -> Iterator[Figure]:
    yield Figure("slow_x", 3.0, 2.0)


def broken(_bench: Bench) -> Iterator[Figure]:
    raise TrialFailedError("the studio stopped while starting")
    yield


@pytest.fixture(autouse=True)
def results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    parts = {"quick": quick, "slow": slow, "broken": broken}
    monkeypatch.setattr(service, "PARTS", parts)
    monkeypatch.setattr(service, "ONLY_IF_NAMED", {})
    monkeypatch.setattr(service, "RESULTS", tmp_path / "service.json")
    monkeypatch.setattr(service, "PROJECT", tmp_path)
    monkeypatch.delenv("STRICT", raising=False)
    return tmp_path / "service.json"


def test_a_missed_goal_is_said_and_fails_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert service.main(["--only", "quick,slow"]) == 0
    assert "1 of 3 figures miss their goal: slow_x" in capsys.readouterr().out


def test_a_missed_goal_fails_a_strict_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRICT", "1")
    assert service.main(["--only", "quick,slow"]) == 1
    assert service.main(["--only", "quick"]) == 0


def test_a_part_that_cannot_run_fails_the_run_and_the_others_are_measured(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert service.main(["--only", "broken,quick"]) == 2
    assert "the studio stopped while starting" in capsys.readouterr().err
    assert json.loads(results.read_text())["quick_ms"] == 5.0


def test_only_what_has_a_goal_is_met_or_missed(results: Path) -> None:
    service.main(["--only", "quick"])
    assert json.loads(results.read_text())["met"] == {"quick_x": True}


def test_a_part_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        service.main(["--only", "quikc"])
    assert "no part is named quikc; use quick, slow, broken" in capsys.readouterr().err


def test_without_a_base_one_side_is_measured(tmp_path: Path) -> None:
    assert list(Bench(tmp_path).checkouts) == ["now"]
    assert list(Bench(tmp_path, base=tmp_path).checkouts) == ["now", "base"]


def test_a_base_is_a_checkout_of_its_own_that_is_removed() -> None:
    head = ["git", "rev-parse", "HEAD"]
    with checkout_of("HEAD") as folder:
        found = subprocess.run(head, cwd=folder, capture_output=True, check=True, timeout=60)
        assert (folder / "webapp" / "settings.py").exists()
    assert found.stdout == subprocess.check_output(head, cwd=PROJECT, timeout=60)
    assert not folder.exists()


def test_a_base_that_nobody_knows_is_refused() -> None:
    with pytest.raises(TrialFailedError, match="rev-parse"), checkout_of("no-such-commit"):
        pass


def test_every_part_says_what_it_measures() -> None:
    assert all(part.__doc__ for part in PARTS.values())
