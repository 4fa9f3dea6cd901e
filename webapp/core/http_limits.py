"""What a stranger can make the HTTP server do before the application sees a request.

uvicorn bounds neither the header nor the time that header and body may take. This is its own
httptools protocol with those bounds. What is over one is answered once, and the connection ends:

414  the address is longer than a line may be        408  the header or the body came too slowly
431  a header line, or all of them, are too long     429  too many connections from one address

An answer that nobody reads is given up as well, and a connection that says nothing is closed.
"""

import asyncio
import json
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from webapp.core.addresses import InUse

LINGER_S = 1.0  # for reading what is still on its way: else the answer could be lost with it
PIPELINED_MOST = 8
LOOKS = 8  # how often within the shortest time limit
FRAMING = 8  # bytes of chunk headers that are fair for each byte of a body


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The bounds. A body may take `body_s`, and a second more for each `body_bytes_per_s`; the
    same holds for whoever reads an answer."""

    line_bytes: int
    header_bytes: int
    header_s: float
    body_s: float
    body_bytes_per_s: int


class Awaited(Enum):
    """What the server waits for: nothing, a request's header, or its body."""

    NOTHING = auto()
    HEADER = auto()
    BODY = auto()


class RefusedError(Exception):
    """Ends the parsing of a request that was answered already."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. `in_use` counts those of each address; None if all come from a proxy."""

    def __init__(
        self, *args: Any, limits: HttpLimits, in_use: InUse | None = None, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.limits, self.in_use = limits, in_use
        self.awaited, self.has_begun, self.is_ending = Awaited.HEADER, False, False
        self.requests = 0
        self.waited_s = self.unread_s = 0.0
        self.header_bytes = self.body_bytes = self.wire_bytes = self.unread_bytes = 0
        self.looked_at_s = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.counted = ""

    # -- The connection -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes one of the address's connections, or answers that it has none left."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        if self.in_use is not None and address:
            if not self.in_use.take(address):
                self._refuse(429, "Too many connections from your address: close some.")
                return
            self.counted = address
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives the connection back to its address, and stops the timer."""
        if self.timer:
            self.timer.cancel()
        if self.in_use is not None and self.counted:
            self.in_use.give_back(self.counted)
            self.counted = ""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses what came, if it is within the bounds."""
        if self.is_ending:
            return
        if self.awaited is Awaited.NOTHING:
            self._await(Awaited.HEADER)
        before, requests = self.awaited, self.requests + (not self.has_begun)
        super().data_received(data)
        # Only what lies wholly within one header, or one body, is counted as it came: all else
        # has been counted piece by piece.
        if not self.is_ending and self.awaited is before and self.requests <= requests:
            self._count(len(data))

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered: from now on that is timed as well."""
        super().pause_writing()
        self.unread_s, self.unread_bytes = 0.0, self.transport.get_write_buffer_size()
        self._watch()

    # -- The parser ---------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins; what an earlier one has used is not its own."""
        super().on_message_begin()
        if self.awaited is not Awaited.HEADER:
            self._await(Awaited.HEADER)
        self.has_begun, self.header_bytes = True, 0
        self.requests += 1

    def on_url(self, url: bytes) -> None:
        """Called with each piece of the address; 414 as soon as they are too long together."""
        super().on_url(url)
        if len(self.url) > self.limits.line_bytes:
            self._stop(414, "The address is too long.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole line; what comes behind a chunked body is read and dropped: it is no header."""
        if len(name) + len(value) + 4 > self.limits.line_bytes:
            self._stop(431, "A line of the request's header is too long.")
        if self.awaited is not Awaited.BODY:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hands the request on, if its header is small enough."""
        lines = sum(len(name) + len(value) + 4 for name, value in self.headers)
        if len(self.url) + lines > self.limits.header_bytes:
            self._stop(431, "The request's header is too large.")
        if len(self.pipeline) >= PIPELINED_MOST:
            self._stop(429, "Too many requests were sent ahead.")
        self._await(Awaited.BODY)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Counts a piece of the body: how many bytes came decides how long the body may take."""
        self.body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request has come: the server waits for nothing, until the next one begins."""
        self.awaited = Awaited.NOTHING
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """For what is no HTTP; what was refused has its answer already."""
        if not self.is_ending:
            self._refuse(400, "This is no HTTP request that can be read.")

    # -- The bounds ---------------------------------------------------------------------------

    def _await(self, awaited: Awaited) -> None:
        self.awaited, self.waited_s = awaited, 0.0
        self.has_begun = awaited is Awaited.BODY
        self.header_bytes = self.body_bytes = self.wire_bytes = 0
        self._watch()

    def _count(self, size: int) -> None:
        if self.awaited is Awaited.HEADER:
            self.header_bytes += size
            if self.header_bytes > self.limits.header_bytes:
                self._refuse(431, "The request's header is too large.")
        elif self.awaited is Awaited.BODY:
            self.wire_bytes += size
            if self.wire_bytes > self.limits.header_bytes + FRAMING * self.body_bytes:
                self._refuse(400, "The body is mostly framing.")

    def _watch(self) -> None:
        """Looks at the clock from now on, until nothing is waited for."""
        if self.timer is None and not self.is_ending:
            self.looked_at_s = self.loop.time()
            self._look_again()

    def _look_again(self) -> None:
        shortest_s = min(self.limits.header_s, self.limits.body_s)
        self.timer = self.loop.call_later(shortest_s / LOOKS, self._look)

    def _look(self) -> None:
        self.timer = None
        now_s = self.loop.time()
        passed_s, self.looked_at_s = now_s - self.looked_at_s, now_s
        if self.is_ending:
            return
        self._look_at_answer(passed_s)
        self._look_at_request(passed_s)
        is_awaited = self.awaited is not Awaited.NOTHING and not self.transport.is_closing()
        if (is_awaited or self.flow.write_paused) and not self.is_ending:
            self._look_again()

    def _look_at_request(self, passed_s: float) -> None:
        if self.awaited is Awaited.NOTHING or self.transport.is_closing():
            return
        if self.flow.read_paused:
            return  # it is we who do not read
        self.waited_s += passed_s
        if self.awaited is Awaited.BODY:
            if self.waited_s > self._allowed_s(self.body_bytes):
                self._refuse(408, "The request's body came too slowly.")
        elif self.waited_s > self.limits.header_s:
            self._end_of_patience()

    def _end_of_patience(self) -> None:
        """A header that was begun is answered; silence, or blank lines, are not."""
        if self.has_begun:
            self._refuse(408, "The request's header came too slowly.")
        elif self._is_answering():
            self.waited_s = 0.0
        else:
            self.is_ending = True
            self.transport.close()

    def _look_at_answer(self, passed_s: float) -> None:
        if not self.flow.write_paused:
            return
        self.unread_s += passed_s
        taken = self.unread_bytes - self.transport.get_write_buffer_size()
        if self.unread_s > self._allowed_s(max(0, taken)):
            self.is_ending = True
            self.transport.abort()

    def _allowed_s(self, size_bytes: int) -> float:
        return self.limits.body_s + size_bytes / self.limits.body_bytes_per_s

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # -- The refusal --------------------------------------------------------------------------

    def _stop(self, status: int, sentence: str) -> None:
        self._refuse(status, sentence)
        raise RefusedError(sentence)

    def _refuse(self, status: int, sentence: str) -> None:
        """Answers in the application's place, and ends the connection."""
        self.is_ending = True
        self._unset_keepalive_if_required()
        is_body = self.awaited is Awaited.BODY
        if self._is_answering() and (not is_body or self.cycle.response_started):
            self.transport.abort()  # an answer is under way: another one would be taken for it
            return
        if is_body:  # to the application its visitor has left
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_answer(status, sentence))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.timer = self.loop.call_later(LINGER_S, self.transport.abort)


def _answer(status: int, sentence: str) -> bytes:
    code = HTTPStatus(status).name.lower()
    body = json.dumps({"error": {"code": code, "message": sentence}}).encode()
    lines = [b"content-type: application/json", b"content-length: %d" % len(body)]
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        lines.append(b"retry-after: 5")
    return STATUS_LINE[status] + b"\r\n".join([*lines, b"connection: close", b"", body])
