"""What a stranger can send before the application looks: just under each bound it is served, just
over it is answered with its own status, over a real socket."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from webapp.core.addresses import InUse, address_block, forwarded_address
from webapp.core.http_limits import BoundedHttp, HttpLimits
from webapp.core.visitors import BoundedVisitors

LINE, HEADER, LARGE = 500, 1000, 40_000_000
LIMITS = HttpLimits(
    line_bytes=LINE, header_bytes=HEADER, header_s=0.8, body_s=0.8, body_bytes_per_s=20_000
)
PLAIN = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


class Studio:
    """An application that reads the body whole and answers with its length, `/large` with more
    than the system keeps for a slow reader, `/stream` a little at a time; `headers` are those of
    the last request, `left` counts visitors who did not stay for the answer."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.left = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        size, is_more = 0, True
        while is_more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            size += len(message["body"])
            is_more = message["more_body"]
        self.headers = list(scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/stream":
            for _piece in range(10):
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                await asyncio.sleep(0.2)
        body = b"x" * LARGE if scope["path"] == "/large" else b"size=%d" % size
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(app: Any, *, most: int = 0, limits: HttpLimits = LIMITS) -> AsyncIterator[int]:
    """The port of a server of its own."""
    config, state = Config(app, ws="none", log_level="critical"), ServerState()
    options: dict[str, Any] = {"limits": limits, "in_use": InUse(most), "app_state": {}}
    protocol = partial(BoundedHttp, config=config, server_state=state, **options)
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.gather(*state.tasks, return_exceptions=True)


async def ask(port: int, *pieces: bytes, pause_s: float = 0.0) -> tuple[int, bytes]:
    """The status and all of what the server said until it, or the read, ended; status 0 for
    nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sending = asyncio.create_task(send_slowly(writer, pieces, pause_s))
    said = b""
    with suppress(ConnectionError):
        while piece := await asyncio.wait_for(reader.read(100_000), 20):
            said += piece
    sending.cancel()
    writer.close()
    return (int(said[9:12]) if said else 0), said


async def send_slowly(
    writer: asyncio.StreamWriter, pieces: tuple[bytes, ...], pause_s: float
) -> None:
    with suppress(ConnectionError):
        for number, piece in enumerate(pieces):
            await asyncio.sleep(pause_s if number else 0)
            writer.write(piece)
            await writer.drain()


def get(*lines: bytes, path: bytes = b"/") -> bytes:
    head = [b"GET " + path + b" HTTP/1.1", b"host: a", b"connection: close", *lines, b"", b""]
    return b"\r\n".join(head)


def line(size: int) -> bytes:
    """A header line that counts as so many bytes."""
    return b"x-a: " + b"v" * (size - len("x-a: \r\n"))


def lines(size: int) -> list[bytes]:
    """Such lines, which with the rest of the header count as so many bytes."""
    rest = len("/") + len("host: a\r\n") + len("connection: close\r\n")
    return [line(400), line(400), line(size - rest - 800)]


def path(size: int) -> bytes:
    return b"/" + b"p" * (size - 1)


@pytest.mark.parametrize(
    ("under", "over", "status"),
    [
        (get(line(LINE)), get(line(LINE + 1)), 431),
        (get(*lines(HEADER)), get(*lines(HEADER + 1)), 431),
        (get(path=path(LINE)), get(path=path(LINE + 1)), 414),
        (get(*[b"a:"] * 194), get(*[b"a:"] * 195), 431),
    ],
    ids=["a line", "all lines", "the address", "many short lines"],
)
async def test_a_header_is_bounded(under: bytes, over: bytes, status: int) -> None:
    async with serving(Studio()) as port:
        assert (await ask(port, under))[0] == 200
        got, said = await ask(port, over)
        assert got == status
        assert b"connection: close" in said
        assert b'"message"' in said


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nx-a: ", b"GET /"])
async def test_a_header_without_an_end_is_not_kept(start: bytes) -> None:
    """Nor is it waited for: what is too much already is answered at once."""
    async with serving(Studio()) as port:
        assert (await ask(port, start, *[b"x" * 300] * 4))[0] in {414, 431}


async def test_a_header_that_comes_slowly_is_served_within_its_time_and_not_after() -> None:
    pieces = [b"GET / HTTP/1.1\r\nhost: a\r\n", b"connection: close\r\n", b"\r\n"]
    async with serving(Studio()) as port:
        assert (await ask(port, *pieces, pause_s=0.1))[0] == 200
        assert (await ask(port, *pieces[:1]))[0] == 408
        drops = [bytes([one]) for one in PLAIN]
        assert (await ask(port, *drops, pause_s=0.1))[0] == 408


@pytest.mark.parametrize("said_first", [[], [b"\r\n"]])
async def test_who_says_nothing_is_hung_up_on_without_a_word(said_first: list[bytes]) -> None:
    """A browser that connects ahead of need takes a 408 for the answer to its first request."""
    async with serving(Studio()) as port:
        assert await ask(port, *said_first) == (0, b"")


def post(size: int) -> bytes:
    return b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % size


async def test_a_body_may_be_slow_but_steady() -> None:
    """It takes twice the seconds that a silent one is given."""
    pieces = [b"x" * 8_000] * 13
    async with serving(Studio()) as port:
        began = time.monotonic()
        status, said = await ask(port, post(104_000), *pieces, pause_s=0.15)
        assert status == 200
        assert b"size=104000" in said
        assert time.monotonic() - began > 2 * LIMITS.body_s


@pytest.mark.parametrize(
    "head",
    [post(1000), b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"],
    ids=["with its length", "chunked"],
)
async def test_a_body_that_drips_or_stops_is_answered_with_408(head: bytes) -> None:
    app = Studio()
    async with serving(app) as port:
        assert (await ask(port, head))[0] == 408
        drops = [b"1\r\nx\r\n" if b"chunked" in head else b"x"] * 20
        assert (await ask(port, head, *drops, pause_s=0.1))[0] == 408
        assert app.left == 2


async def test_a_body_that_is_mostly_framing_is_refused() -> None:
    head = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    fair = b"1\r\nx\r\n" * 400 + b"0\r\n\r\n"
    async with serving(Studio()) as port:
        assert (await ask(port, head.replace(b"host", b"connection: close\r\nhost"), fair))[
            0
        ] == 200
        assert (await ask(port, head, b"1;", *[b"y" * 400] * 4))[0] == 400


async def test_what_comes_behind_a_chunked_body_is_no_header() -> None:
    """Django makes its request when the body is whole: a header that a proxy had not seen would
    be among the others."""
    app = Studio()
    body = b"1\r\nx\r\n0\r\nx-forwarded-for: 192.0.2.1\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    async with serving(app) as port:
        assert (await ask(port, head + body))[0] == 200
        assert b"x-forwarded-for" not in dict(app.headers)


async def test_a_long_answer_is_not_cut_off_by_the_limits_of_requests() -> None:
    async with serving(Studio()) as port:
        status, said = await ask(port, get(path=b"/stream"))
        assert status == 200
        assert said.endswith(b"0\r\n\r\n")
        blank_lines = get(path=b"/stream").replace(b"connection: close\r\n", b"")
        status, said = await ask(port, blank_lines, b"\r\n", pause_s=0.1)
        assert said.endswith(b"0\r\n\r\n")


async def test_requests_that_are_sent_ahead_wait_their_turn_and_are_few() -> None:
    async with serving(Studio()) as port:
        _status, said = await ask(port, PLAIN * 5 + get())
        assert said.count(b"HTTP/1.1 200") == 6
        _status, said = await ask(port, PLAIN * 200)
        assert said.count(b"HTTP/1.1 200") == 0


async def test_a_body_behind_a_long_answer_has_its_time_when_it_is_read() -> None:
    first = get(path=b"/stream").replace(b"connection: close\r\n", b"")
    async with serving(Studio()) as port:
        _status, said = await ask(port, first + post(200_000) + b"x" * 200_000)
        assert said.endswith(b"size=200000\r\n0\r\n\r\n")


async def test_an_answer_that_nobody_reads_is_given_up() -> None:
    async with serving(Studio()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(get(path=b"/large"))
        await asyncio.sleep(3)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(LARGE)
        writer.close()
        assert len((await ask(port, get(path=b"/large")))[1]) > LARGE


async def test_an_upgrade_is_an_ordinary_request() -> None:
    ask_for_it = [b"upgrade: websocket", b"sec-websocket-key: x", b"sec-websocket-version: 13"]
    async with serving(Studio()) as port:
        request = get(*ask_for_it).replace(b"connection: close", b"connection: upgrade, close")
        assert (await ask(port, request))[0] == 200


async def test_connections_of_one_address_are_bounded_and_come_back() -> None:
    async with serving(Studio(), most=2) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _one in range(2)]
        status, said = await ask(port, get())
        assert status == 429
        assert b"retry-after" in said
        held[0][1].close()
        await asyncio.sleep(0.1)
        assert (await ask(port, get()))[0] == 200
        held[1][1].close()


async def test_behind_a_proxy_the_requests_of_a_forwarded_address_are_bounded() -> None:
    """All connections are the proxy's; what a visitor wrote into the header before it came to the
    trusted proxy does not count."""
    app = BoundedVisitors(Studio(), most=2, trusted_proxies=1)
    async with serving(app) as port:
        mine = [b"x-forwarded-for: 203.0.113.9, 192.0.2.1"]
        others = [b"x-forwarded-for: 203.0.113.9, 192.0.2.2"]
        streams = [asyncio.create_task(ask(port, get(*mine, path=b"/stream"))) for _one in "ab"]
        await asyncio.sleep(0.2)
        assert (await ask(port, get(*mine)))[0] == 429
        assert (await ask(port, get(*others)))[0] == 200
        assert [status for status, _said in await asyncio.gather(*streams)] == [200, 200]
        assert (await ask(port, get(*mine)))[0] == 200


async def test_without_a_proxy_the_header_means_nothing() -> None:
    app = BoundedVisitors(Studio(), most=1, trusted_proxies=0)
    async with serving(app) as port:
        asked = [ask(port, get(b"x-forwarded-for: 192.0.2.1", path=b"/stream")) for _one in "ab"]
        assert [status for status, _said in await asyncio.gather(*asked)] == [200, 200]


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown" * 20, ("unknown" * 20)[:64]),
    ],
)
def test_an_address_counts_with_its_block(address: str, block: str) -> None:
    assert address_block(address) == block


@pytest.mark.parametrize(
    ("trusted", "address"), [(0, "10.0.0.1"), (1, "c"), (2, "b"), (3, "a"), (9, "a")]
)
def test_a_forwarded_address_is_that_before_the_trusted_proxies(trusted: int, address: str) -> None:
    found = forwarded_address(direct="10.0.0.1", forwarded="a, b,c", trusted_proxies=trusted)
    assert found == address
