"""Logs are put aside by size while they are written, and no line is lost or divided."""

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.embedded.harness import Running, wait_until
from webapp.embedded import output
from webapp.embedded.output import LinePump, Log

MOST = 1000


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "web.log", most_bytes=MOST, kept=3)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def lines_of(folder: Path) -> list[str]:
    """All lines, the oldest first."""
    names = sorted(folder.iterdir(), key=lambda path: path.name, reverse=True)
    return [line for path in names for line in path.read_text().splitlines()]


def test_a_log_is_put_aside_at_its_size_and_the_newest_are_kept(tmp_path: Path, log: Log) -> None:
    written = [f"line {number:04}" for number in range(600)]
    for line in written:
        log.write(f"{line}\n".encode())

    assert files(tmp_path) == ["web.log", "web.log.1", "web.log.2", "web.log.3"]
    assert all(path.stat().st_size <= MOST for path in tmp_path.iterdir())
    kept = lines_of(tmp_path)
    assert kept == written[-len(kept) :]
    assert len(kept) > 300


def test_no_line_is_lost_or_divided_however_it_comes(tmp_path: Path) -> None:
    log = Log(tmp_path / "web.log", most_bytes=MOST, kept=100)
    written = [f"line {number} {'x' * (number % 97)}" for number in range(500)]
    text = "".join(f"{line}\n" for line in written).encode()

    for start in range(0, len(text), 37):
        log.write(text[start : start + 37])

    assert len(files(tmp_path)) > 20
    names = sorted(tmp_path.iterdir(), key=lambda path: -int(path.suffix[1:].replace("log", "0")))
    found = [path.read_bytes() for path in names]
    assert b"".join(found) == text
    assert all(one.endswith(b"\n") for one in found)
    assert max(len(one) for one in found) < MOST + 150


def test_a_line_without_an_end_is_divided_at_last(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "LINE_BYTES", 500)
    for _turn in range(40):
        log.write(b"x" * 100)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 4000
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= MOST + 500 + 100


def test_what_an_earlier_run_left_counts(tmp_path: Path) -> None:
    (tmp_path / "web.log").write_text("old\n" * MOST)
    log = Log(tmp_path / "web.log", most_bytes=MOST)
    log.write(b"new\n")
    assert (tmp_path / "web.log").read_text() == "new\n"
    assert (tmp_path / "web.log.1").stat().st_size == 4 * MOST


def test_a_log_that_cannot_be_put_aside_goes_on(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, _target: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "replace", refuse)
    for number in range(300):
        log.write(f"line {number:04}\n".encode())
    assert len(lines_of(tmp_path)) == 300
    assert files(tmp_path) == ["web.log"]


def test_descriptors_are_not_used_up(log: Log) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _turn in range(2000):
        log.write(b"a line of some length\n")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_full_disk_ends_no_supervisor(tmp_path: Path) -> None:
    """A limit on files' size stands for it: the write fails in the same way."""
    pump = LinePump("web", Log(tmp_path / "web.log"), echo=False)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    os.write(pump.writer, b"one\n" * 100)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, hard))
    try:
        assert pump.copy()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    os.write(pump.writer, b"two\n")
    pump.close()
    assert (tmp_path / "web.log").read_text().endswith("two\n")


def test_a_running_studios_servers_are_put_aside_too(
    start: Callable[..., Running], var: Path
) -> None:
    """`servers` watches them, so what they say comes through its pipes."""
    begin = (
        "import sys; from webapp.embedded import output; output.Log.__init__.__kwdefaults__"
        "['most_bytes'] = 200; from webapp.embedded.__main__ import main; "
        "sys.exit(main(sys.argv[1:]))"
    )
    running = start([sys.executable, "-c", begin, "servers", "--var", str(var)])
    running.wait_for("REDIS_URL=")
    wait_until(lambda: (var / "logs" / "postgres.log.1").exists())
    logs = sorted((var / "logs").glob("postgres.log*"), reverse=True)
    text = "".join(path.read_text() for path in logs)
    assert "starting PostgreSQL" in text
    assert "database system is ready to accept connections" in text
    assert "postgres" not in running.output.replace("postgresql://", "")
