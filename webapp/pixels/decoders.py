"""The children that decode, and whose turn it is: few in all, one at a time for each user.

A turn covers what is done with the result, too, so that few results are in memory at once. Whoever
waits too long, or comes when enough wait already, is told so; nobody waits without end.
"""

import logging
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from webapp.pixels.messages import Message, read_message, write_message

logger = logging.getLogger(__name__)

CHILD = Path(__file__).with_name("child.py")
KILL_TIMEOUT_S = 5


class BusyError(Exception):
    """No turn came in time; `is_own` if the user's own images are what is being worked on."""

    def __init__(self, *, is_own: bool) -> None:
        super().__init__("busy")
        self.is_own = is_own


class RefusedImageError(Exception):
    """The child says that the image will not do, or broke over it; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class SourceError(Exception):
    """A blob could not be read; `error` is what it raised."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Child:
    """One child process; started when it is first asked, and again when it has ended."""

    def __init__(self, *, memory_mb: int, time_s: float) -> None:
        self.memory_mb, self.time_s = memory_mb, time_s
        self.process: subprocess.Popen[bytes] | None = None
        self.connection: socket.socket

    def ask(self, facts: dict[str, Any], blobs: Sequence[bytes | Iterable[bytes]]) -> Message:
        """Its answer. Raises RefusedImageError: with the child's own code, with "too_slow" if
        it took longer than it may, with "unreadable" if it died; it is ended then. What a blob
        raises while it is read goes through."""
        if self.process is None or self.process.poll() is not None:
            self._start()
        try:
            self.connection.settimeout(self.time_s)
            write_message(self.connection, facts, [_marked(blob) for blob in blobs])
            answer = self._read()
        except TimeoutError as error:
            raise self._ended("too_slow") from error
        except (OSError, ValueError) as error:
            raise self._ended("unreadable") from error
        except SourceError as failed:  # half a task was sent
            self.end()
            raise failed.error from failed
        except BaseException:  # nobody will read the answer
            self.end()
            raise
        if "refused" in answer[0]:
            raise RefusedImageError(answer[0]["refused"])
        return answer

    def end(self) -> None:
        """Ends the process, if there is one."""
        if self.process is None:
            return
        self.connection.close()
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(KILL_TIMEOUT_S)
        self.process = None

    def _start(self) -> None:
        self.end()
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            words = [sys.executable, "-I", str(CHILD), str(number), str(self.memory_mb)]
            self.process = subprocess.Popen(  # noqa: S603 - our own script
                words, pass_fds=[number], stdin=subprocess.DEVNULL, env={}
            )
        self.connection = ours

    def _read(self) -> Message:
        answer = read_message(self.connection)
        if answer is None:
            raise ConnectionResetError("the child is gone")
        return answer

    def _ended(self, code: str) -> RefusedImageError:
        logger.warning("a child that decodes was ended: %s", code)
        self.end()
        return RefusedImageError(code)


def _marked(blob: bytes | Iterable[bytes]) -> bytes | Iterator[bytes]:
    """The same, with its own errors told from those of the child's connection."""
    return blob if isinstance(blob, bytes) else _read_pieces(blob)


def _read_pieces(blob: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from blob
    except Exception as error:
        raise SourceError(error) from error


class Decoders:
    """All children of this process."""

    def __init__(
        self, *, count: int, memory_mb: int, time_s: float, wait_s: float, waiting_most: int
    ) -> None:
        self.wait_s, self.waiting_most = wait_s, waiting_most
        self._free = [Child(memory_mb=memory_mb, time_s=time_s) for _number in range(count)]
        self._all = tuple(self._free)
        self._owners: set[str] = set()
        self._waiting: Counter[str] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, owner: str) -> Iterator[Child]:
        """A child that nobody else asks until the block ends. Raises BusyError if that would
        take longer than `wait_s`, or if enough wait already."""
        child = self._take(owner)
        try:
            yield child
        finally:
            with self._changed:
                self._free.append(child)
                self._owners.discard(owner)
                self._changed.notify_all()

    def end(self) -> None:
        """Ends every child process; nothing can be asked afterwards."""
        for child in self._all:
            child.end()

    def _take(self, owner: str) -> Child:
        until = time.monotonic() + self.wait_s
        with self._changed:
            self._refuse_crowds(owner)
            self._waiting[owner] += 1
            try:
                while owner in self._owners or not self._free:
                    if not self._changed.wait(until - time.monotonic()):
                        raise BusyError(is_own=owner in self._owners)
            finally:
                self._waiting[owner] -= 1
                self._waiting += Counter()  # forgets whoever has none
            self._owners.add(owner)
            return self._free.pop()

    def _refuse_crowds(self, owner: str) -> None:
        """One user fills half of the waiting places at most."""
        if self._waiting[owner] >= self.waiting_most // 2:
            raise BusyError(is_own=True)
        if self._waiting.total() >= self.waiting_most:
            raise BusyError(is_own=False)
