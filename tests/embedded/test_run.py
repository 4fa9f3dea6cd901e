"""`run`: what a command needs, for as long as it runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.embedded.harness import PROJECT, processes_of
from tests.trial import own_environment
from webapp.embedded.servers import embedded_servers

RUN_S = 120
SAY_SERVER = """
import os, psycopg
from webapp.settings import DATABASES, VAR
with psycopg.connect(VAR.postgres_url()) as connection:
    print("server", connection.execute("SELECT 6 * 7").fetchone()[0])
"""


def run(var: Path, script: str) -> tuple[int, str]:
    var.mkdir(exist_ok=True)
    (var.parent / "say.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "-m", "webapp.embedded", "run", str(var.parent / "say.py")],
        cwd=PROJECT,
        env=own_environment(var, {"PYTHONPATH": str(PROJECT)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=RUN_S,
    )
    return done.returncode, done.stdout


def test_a_command_has_its_servers_which_end_with_it(tmp_path: Path) -> None:
    status, said = run(tmp_path / "var", SAY_SERVER)
    assert (status, "server 42" in said) == (0, True), said
    assert processes_of(tmp_path) == []


def test_a_command_that_fails_makes_it_fail(tmp_path: Path) -> None:
    status, said = run(tmp_path / "var", "raise SystemExit('it did not work')")
    assert status == 1
    assert "it did not work" in said
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("code", ["0", "3"])
def test_beside_a_studio_that_runs_it_uses_its_servers(tmp_path: Path, code: str) -> None:
    with embedded_servers(tmp_path / "var"):
        status, said = run(tmp_path / "var", f"{SAY_SERVER}\nraise SystemExit({code})")
        assert (status, "server 42" in said) == (int(code), True), said
