"""Open event streams: what arrived on each, and when."""

import asyncio
import re
import time
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

PROGRESS = re.compile(rb'event: progress\ndata: [^\n]*?"id": "([0-9a-f-]{36})"[^\n]*\n\n')
OPENED = b"retry:"
POLL_S = 0.05


class Reader(asyncio.Protocol):
    """One page's connection. Nothing is read out of what arrives until all has: the reader must
    not take the processor from the server."""

    def __init__(self, session: str) -> None:
        self.request = (
            "GET /events/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Accept: text/event-stream\r\nCookie: sessionid={session}\r\n\r\n"
        ).encode()
        self.times: list[float] = []
        self.parts: list[bytes] = []
        self.is_open = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the stream."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Notes the moment."""
        self.times.append(time.monotonic())
        self.parts.append(data)
        self.is_open = self.is_open or OPENED in data

    def connection_lost(self, exc: Exception | None) -> None:
        """The stream has ended."""
        self.is_open = False

    def close(self) -> None:
        """The page is left."""
        if self.transport is not None:
            self.transport.abort()

    def arrivals(self) -> dict[str, float]:
        """The moment at which each image's news had arrived to its last byte."""
        ends = list(accumulate(map(len, self.parts)))
        return {
            found[1].decode(): self.times[bisect_left(ends, found.end())]
            for found in PROGRESS.finditer(b"".join(self.parts))
        }


async def open_readers(port: int, sessions: Sequence[str], *, timeout_s: float) -> list[Reader]:
    """A stream for each session, all at once; after the timeout some may not be open."""
    loop = asyncio.get_running_loop()
    readers = [Reader(session) for session in sessions]
    end = loop.time() + timeout_s
    for reader in readers:
        await loop.create_connection(lambda one=reader: one, "127.0.0.1", port)  # type: ignore[misc]
    while not all(reader.is_open for reader in readers) and loop.time() < end:
        await asyncio.sleep(POLL_S)
    return readers
