"""`python -m worker.health`: quick, and about the engine alone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.worker.running import PROJECT
from webapp.embedded.worker_health import (
    FRESH_S,
    SILENT_S,
    STALLED_S,
    EngineHealth,
    default_node,
    health_file,
    silence_of,
    write_health,
)


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DARKROOM_VAR", str(tmp_path))


def check(*words: str) -> tuple[int, str]:
    """Exit status and output, of a process that knows nothing but the folder."""
    done = subprocess.run(
        [sys.executable, "-m", "worker.health", *words],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "DARKROOM_VAR": os.environ["DARKROOM_VAR"]},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout.strip() + done.stderr


def write(node: str, *, age_s: float = 0.0, stalled_s: float = 0.0, ended_by: str = "") -> None:
    write_health(node, EngineHealth(1, time.monotonic() - age_s, stalled_s, ended_by))


def test_a_worker_that_is_well_is_found_by_its_usual_name_or_another() -> None:
    write(default_node())
    write("worker-gpu1@a/b")
    assert check() == (0, f"{default_node()}: The engine is well.")
    assert check("worker-gpu1@a/b") == (0, "worker-gpu1@a/b: The engine is well.")
    assert check("worker-gpu2@here")[0] == 1


@pytest.mark.parametrize(
    ("age_s", "stalled_s", "ended_by", "told"),
    [
        (FRESH_S + 1, 0.0, "", "It has said nothing for more than 30 seconds."),
        (-3600.0, 0.0, "", "It has said nothing for more than 30 seconds."),
        (0.0, STALLED_S + 1, "", "Its engine has not moved for 901 seconds."),
        (0.0, 0.0, "The GPU is gone.", "It can't draw. The GPU is gone."),
    ],
)
def test_what_ails_a_worker_is_one_sentence(
    age_s: float, stalled_s: float, ended_by: str, told: str
) -> None:
    write("one@here", age_s=age_s, stalled_s=stalled_s, ended_by=ended_by)
    assert check("one@here") == (1, f"one@here: {told}")


def test_a_long_load_is_no_ailment() -> None:
    write("one@here", stalled_s=STALLED_S - 1)
    assert check("one@here")[0] == 0


def test_a_file_that_says_something_else_is_as_none() -> None:
    write("one@here")
    health_file("one@here").write_text('{"pid": 1}', "utf-8")
    assert check("one@here")[0] == 1


def test_a_wrong_call_says_how_it_is_called() -> None:
    usage = "Say at most the worker's node name: python -m worker.health [worker@host]"
    assert check("one", "two") == check("--help") == (2, usage)


def test_only_a_worker_that_spoke_and_fell_silent_is_one_to_kill(tmp_path: Path) -> None:
    def silence(age_s: float, *, pid: int = 1) -> str:
        write(default_node(), age_s=age_s)
        return silence_of(pid, var=tmp_path, now_s=time.monotonic())

    assert silence_of(1, var=tmp_path, now_s=time.monotonic()) == "", "it has not begun"
    assert silence(0.0) == silence(SILENT_S - 1) == ""
    assert silence(SILENT_S + 1) == "it has said nothing for 301 seconds"
    assert silence(SILENT_S + 1, pid=2) == "", "an earlier worker wrote that"
