"""Turn signals into something a `select` can wait for."""

import contextlib
import signal
import socket
from types import FrameType, TracebackType
from typing import Self

STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalPipe:
    """While entered, the signals of `STOP` and the end of a child arrive as bytes in `reader`."""

    def __init__(self) -> None:
        self.reader, self._writer = socket.socketpair()
        self.reader.setblocking(False)
        self._writer.setblocking(False)
        self._handlers = {number: signal.getsignal(number) for number in (*STOP, signal.SIGCHLD)}

    def __enter__(self) -> Self:
        for number in self._handlers:
            signal.signal(number, _note)
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self.reader.close()
        self._writer.close()

    def stops_requested(self) -> int:
        """Return how many requests to stop arrived since the last call."""
        arrived = b""
        with contextlib.suppress(BlockingIOError):
            arrived = self.reader.recv(4096)
        return sum(arrived.count(number) for number in STOP)


def _note(number: int, frame: FrameType | None) -> None:
    """Do nothing: the byte in the pipe is the message."""
