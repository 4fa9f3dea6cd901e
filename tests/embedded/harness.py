"""Drive a supervisor from outside, as a terminal and the kernel would."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parents[2]
TINY_STACK = Path(__file__).with_name("tiny_stack.py")
PATIENCE_S = 20.0


class Running:
    """A started supervisor and what it has printed so far."""

    def __init__(self, command: list[str], env: dict[str, str] | None = None) -> None:
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in end()
        self._process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT), **(env or {})},
            stdout=self._output,
            stderr=self._output,
            stdin=subprocess.DEVNULL,
        )
        self.pid = self._process.pid

    @property
    def output(self) -> str:
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode()

    def wait_for(self, text: str) -> str:
        """Return the output once `text` is in it."""
        wait_until(lambda: text in self.output or self._process.poll() is not None)
        assert text in self.output, self.output
        return self.output

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def exit_code(self) -> int:
        return self._process.wait(timeout=PATIENCE_S)

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(timeout=PATIENCE_S)
        self._output.close()


def tiny_stack(var: Path, *scenario: str) -> list[str]:
    return [sys.executable, str(TINY_STACK), str(var), *scenario]


def wait_until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def run_token(var: Path) -> str:
    return str(json.loads((var / "run-state.json").read_text())["token"])


def recorded_pid(var: Path, name: str) -> int:
    processes = json.loads((var / "run-state.json").read_text())["processes"]
    return int(next(process["pid"] for process in processes if process["name"] == name))


def processes_of(var: Path) -> list[int]:
    """Every process that works in, or was started with, a path below `var`."""
    entries = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return sorted(int(entry.name) for entry in entries if _belongs(entry, str(var.resolve())))


def _belongs(entry: Path, var: str) -> bool:
    try:
        folder = str((entry / "cwd").readlink())
        state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        command = (entry / "cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return state not in "ZX" and (folder.startswith(var) or var in command)
