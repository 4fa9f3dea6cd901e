"""One supervisor per var folder, and the end of what a killed one left behind."""

import fcntl
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from webapp.embedded.errors import AlreadyRunningError, StartFailedError
from webapp.embedded.output import say
from webapp.embedded.private import open_private
from webapp.embedded.process import kill_group, signal_if, started_at

RUN_TOKEN = "DARKROOM_RUN"  # noqa: S105 - a mark in children's environment, not a secret
POLL_S = 0.02
DIE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Recorded:
    """A process as it was when started: number and start time together name it for good."""

    name: str
    pid: int
    started: str
    stop_signal: int
    stop_timeout_s: float

    def runs(self) -> bool:
        return started_at(self.pid) == self.started


class RunState:
    """The file `run-state.json`: which processes belong to the current supervisor.

    `token` is also in every child's environment: it finds what was started but not yet written
    down, and grandchildren, after the supervisor was killed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._processes: dict[str, Recorded] = {}
        self.token = secrets.token_hex(16)
        self._write()

    def add(self, process: Recorded) -> None:
        self._processes[process.name] = process
        self._rewrite()

    def remove(self, name: str) -> None:
        if self._processes.pop(name, None):
            self._rewrite()

    def close(self) -> None:
        """Remove the file: every process has been stopped."""
        self._path.unlink(missing_ok=True)

    def _rewrite(self) -> None:
        # With a full disk the services matter more than the record, which the kernel's signal and
        # the token can stand in for.
        try:
            self._write()
        except OSError as error:
            say(f"{self._path} cannot be written: {error}")

    def _write(self) -> None:
        processes = [asdict(process) for process in self._processes.values()]
        unfinished = self._path.with_suffix(".new")
        text = json.dumps({"token": self.token, "processes": processes}, indent=1)
        with open(open_private(unfinished, os.O_TRUNC), "w", encoding="utf-8") as file:
            file.write(text)
        unfinished.replace(self._path)


@contextmanager
def only_supervisor(lock: Path) -> Iterator[None]:
    """Hold the lock of a var folder; raises AlreadyRunningError naming the process that has it."""
    with open(open_private(lock, os.O_APPEND), "a", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(_already_running(lock)) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _already_running(lock: Path) -> str:
    holder = lock.read_text(encoding="ascii").strip() or "unknown"
    return f"Darkroom already runs in {lock.parent} as process {holder}: stop that one first."


def end_survivors(path: Path) -> list[str]:
    """End the processes that a killed supervisor left, last started first; return their names.

    Each gets its own stop signal and its own time, then its group is killed. A number that now
    belongs to another process is left alone. Raises StartFailedError when one cannot be ended.
    """
    if not path.exists():
        return []
    state: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    processes = [Recorded(**fields) for fields in state["processes"]]
    ended = [process.name for process in reversed(processes) if _end(process)]
    ended += [f"process {pid}" for pid in _end_marked(state["token"])]
    path.unlink()
    return ended


def _end(process: Recorded) -> bool:
    if not signal_if(process.pid, process.runs, process.stop_signal):
        return False
    if not _gone(process, process.stop_timeout_s):
        kill_group(process.pid)
        if not _gone(process, DIE_TIMEOUT_S):
            raise StartFailedError(f"{process.name} (process {process.pid}) cannot be ended.")
    return True


def _gone(process: Recorded, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while process.runs():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def _end_marked(token: str) -> list[int]:
    return [
        pid
        for pid in _other_processes()
        if signal_if(pid, partial(_carries, pid, token), signal.SIGKILL)
    ]


def _other_processes() -> list[int]:
    if sys.platform != "linux":
        return []
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in numbers if pid != os.getpid()]


def _carries(pid: int, token: str) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return f"{RUN_TOKEN}={token}".encode("ascii") in environment.split(b"\0")
