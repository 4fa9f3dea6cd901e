"""A supervisor killed without notice leaves nothing, and nothing else is ever touched."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.embedded.harness import (
    Running,
    processes_of,
    recorded_pid,
    run_token,
    tiny_stack,
    wait_until,
)
from webapp.embedded.paths import VarLayout
from webapp.embedded.process import started_at
from webapp.embedded.record import RUN_TOKEN, end_survivors

StartTiny = Callable[..., Running]


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that was not started by any supervisor."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def record(path: Path, *, pid: int, started: str | None) -> Path:
    fields = {"name": "web", "pid": pid, "started": started, "stop_signal": 15}
    processes = [{**fields, "stop_timeout_s": 5}]
    path.write_text(json.dumps({"token": "t", "processes": processes}))
    return path


def test_a_killed_supervisor_takes_its_services_along(start_tiny: StartTiny, var: Path) -> None:
    running = start_tiny("servers", "stubborn")
    running.wait_for("no way")

    running.send(signal.SIGKILL)
    running.exit_code()

    wait_until(lambda: processes_of(var) == [])


def test_the_start_after_a_kill_ends_even_detached_grandchildren(
    start_tiny: StartTiny, start: Callable[..., Running], var: Path
) -> None:
    running = start_tiny("parent")
    running.wait_for("hello from parent")
    wait_until(lambda: len(processes_of(var)) == 3)
    running.send(signal.SIGKILL)
    running.exit_code()
    wait_until(lambda: len(processes_of(var)) == 1)
    [orphan] = processes_of(var)

    again = start(tiny_stack(var, "first"))

    again.wait_for(f"ended what an earlier run left behind: process {orphan}\n")
    again.wait_for("hello from first")
    assert orphan not in processes_of(var)


def test_data_survives_a_killed_supervisor(
    start_tiny: StartTiny, start: Callable[..., Running], var: Path
) -> None:
    running = start_tiny("servers")
    url = VarLayout(var).postgres_url()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (number integer)")
        connection.execute("INSERT INTO kept VALUES (7)")
    running.send(signal.SIGKILL)
    running.exit_code()

    start_tiny("servers")

    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]


def test_a_killed_database_comes_back_with_its_data(start_tiny: StartTiny, var: Path) -> None:
    running = start_tiny("servers")
    url = VarLayout(var).postgres_url()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (number integer)")
    killed = recorded_pid(var, "postgres")

    os.kill(killed, signal.SIGKILL)

    running.wait_for("postgres ended unexpectedly with signal 9")
    wait_until(lambda: _answers(url))
    assert recorded_pid(var, "postgres") != killed


def test_a_recorded_process_that_still_runs_is_ended(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    file = record(tmp_path / "run.json", pid=stranger.pid, started=started_at(stranger.pid))

    assert end_survivors(file) == ["web"]

    assert stranger.wait(timeout=5) == -signal.SIGTERM
    assert not file.exists()


def test_a_process_that_took_over_a_recorded_number_is_left_alone(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    file = record(tmp_path / "run.json", pid=stranger.pid, started="another boot/1")

    assert end_survivors(file) == []

    assert stranger.poll() is None


def test_every_service_carries_the_mark_of_its_run(start_tiny: StartTiny, var: Path) -> None:
    start_tiny("first").wait_for("hello from first")

    environment = Path(f"/proc/{recorded_pid(var, 'first')}/environ").read_bytes().split(b"\0")

    assert f"{RUN_TOKEN}={run_token(var)}".encode() in environment


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url) as connection:
            return connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    except psycopg.OperationalError:
        return False
