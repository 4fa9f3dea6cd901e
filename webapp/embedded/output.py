"""What services say: into `var/logs/<name>.log`, and in the terminal under their name."""

import contextlib
import os
import sys
from pathlib import Path

MAX_LOG_BYTES = 10_000_000
READ_BYTES = 65_536
NAME_WIDTH = 8


def say(text: str, *, name: str = "darkroom") -> None:
    """Print each line of `text` under the name of who says it."""
    _write("".join(f"{name:<{NAME_WIDTH}} | {line}\n" for line in text.splitlines()))


def announce(text: str) -> None:
    """Print a line that stands out."""
    _write(f"\n  {text}\n\n")


def _write(text: str) -> None:
    # The terminal may be gone (a closed window, `| head`): services must still be stopped.
    with contextlib.suppress(OSError):
        sys.stdout.write(text)
        sys.stdout.flush()


def open_log(logs: Path, name: str) -> int:
    """Open a service's log for appending and return the descriptor; a large one is put aside."""
    path = log_path(logs, name)
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def log_path(logs: Path, name: str) -> Path:
    return logs / f"{name}.log"


def last_lines(path: Path, count: int = 12) -> str:
    """Return the end of a log, or an empty text when there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - READ_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-count:])


class LinePump:
    """Carry one service's output from its pipe to its log and, in whole lines, the terminal."""

    def __init__(self, name: str, log: int) -> None:
        self._name = name
        self._log = log
        self._rest = b""
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)

    def close_writer(self) -> None:
        """Close our copy of the writing end, which the child has by now."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def copy(self) -> bool:
        """Copy one chunk; return False once nothing will come any more."""
        with contextlib.suppress(BlockingIOError):
            return self._take(os.read(self.reader, READ_BYTES))
        return True

    def close(self) -> None:
        """Copy the last of it, whole line or not, and close the pipe; the process has ended."""
        self.close_writer()
        with contextlib.suppress(BlockingIOError):
            while self._take(os.read(self.reader, READ_BYTES)):
                pass
        self._show(self._rest)
        os.close(self.reader)

    def _take(self, chunk: bytes) -> bool:
        # A full disk must not end the supervisor: the terminal still gets the lines.
        with contextlib.suppress(OSError):
            os.write(self._log, chunk)
        whole, newline, self._rest = (self._rest + chunk).rpartition(b"\n")
        if newline:
            self._show(whole)
        return bool(chunk)

    def _show(self, lines: bytes) -> None:
        say(lines.decode("utf-8", "replace"), name=self._name)
