"""What services say: into `var/logs/<name>.log`, and in the terminal under their name."""

import contextlib
import fcntl
import os
import sys
from pathlib import Path

from webapp.embedded.private import open_private

# A log is put aside at this size; so many of those are kept beside it.
LOG_BYTES = 10_000_000
LOGS_KEPT = 5
# A line without an end must not keep a log from being put aside for ever.
LINE_BYTES = 1_000_000
# What may wait in a pipe while the supervisor is busy: the system's own 64 KiB, or this (Linux).
PIPE_BYTES = 1 << 20
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


class Log:
    """A service's log file, put aside by size while it is written: `web.log`, `web.log.1` and so
    on, the oldest last. A line is never divided between two files, and none is left out."""

    def __init__(self, path: Path, *, most_bytes: int = LOG_BYTES, kept: int = LOGS_KEPT) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._kept = kept
        self._is_within_line = False
        self._open()

    def fileno(self) -> int:
        """The descriptor, for a service that writes by itself; its log grows until it ends."""
        return self._descriptor

    def write(self, text: bytes) -> None:
        """Appends; raises OSError if the disk is full."""
        if self._size and self._size + len(text) > self._most_bytes:
            begun = self._rest_of_line(text)
            self._append(text[:begun])
            text = text[begun:]
            if not self._is_within_line or self._size > self._most_bytes + LINE_BYTES:
                self._put_aside()
        self._append(text)

    def close(self) -> None:
        os.close(self._descriptor)

    def _open(self) -> None:
        self._descriptor = open_private(self._path, os.O_APPEND)
        self._size = os.fstat(self._descriptor).st_size

    def _rest_of_line(self, text: bytes) -> int:
        """How many bytes of `text` belong to the line that the file ends with."""
        if not self._is_within_line:
            return 0
        return text.find(b"\n") + 1 or len(text)

    def _append(self, text: bytes) -> None:
        while text:
            written = os.write(self._descriptor, text)
            self._size += written
            self._is_within_line = text[written - 1 : written] != b"\n"
            text = text[written:]

    def _put_aside(self) -> None:
        # Until the new file is open, lines go into the old one, whatever its name is by then.
        before = self._descriptor
        with contextlib.suppress(OSError):
            for number in range(self._kept, 0, -1):
                older = self._aside(number - 1)
                if older.exists():
                    older.replace(self._aside(number))
            self._open()
            os.close(before)

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


class LinePump:
    """Carry one service's output from its pipe to its log and, with `echo`, in whole lines to the
    terminal."""

    def __init__(self, name: str, log: Log, *, echo: bool) -> None:
        self._name = name
        self._log = log
        self._echo = echo
        self._rest = b""
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        _widen(self.writer)

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
            self._log.write(chunk)
        whole, newline, self._rest = (self._rest + chunk).rpartition(b"\n")
        if newline:
            self._show(whole)
        return bool(chunk)

    def _show(self, lines: bytes) -> None:
        if self._echo:
            say(lines.decode("utf-8", "replace"), name=self._name)


def _widen(pipe: int) -> None:
    """Lets more wait in a pipe, if the system can."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # more than this user may have in all
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
