"""Bodies that are too large are answered before anybody reads them whole."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from webapp.core.bodies import BoundedBodies, Message

MOST = 100


class Reader:
    """An application that reads the body whole, as Django's handler does, and answers with its
    length; it gives up, without an answer, on a visitor who has left."""

    def __init__(self) -> None:
        self.read = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        is_more = True
        while is_more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            self.read += len(message.get("body", b""))
            is_more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(self.read).encode()})


async def ask(pieces: Iterable[bytes], *, declared: bytes | None = None) -> tuple[int, bytes, int]:
    """The status and body of the answer, and how much the application had read."""
    waiting = list(pieces)
    sent: list[Message] = []
    reader = Reader()

    async def receive() -> Message:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [] if declared is None else [(b"content-length", declared)]
    scope = {"type": "http", "headers": headers}
    await BoundedBodies(reader, most_bytes=MOST)(scope, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return sent[0]["status"], sent[1]["body"], reader.read


async def test_a_body_that_is_small_enough_passes() -> None:
    assert await ask([b"x" * 60, b"x" * 40], declared=b"100") == (200, b"100", 100)


async def test_a_body_that_says_that_it_is_too_large_is_not_read() -> None:
    status, body, read = await ask([b"x"], declared=b"101")
    assert (status, read) == (413, 0)
    assert json.loads(body)["error"]["code"] == "too_large"


@pytest.mark.parametrize("declared", [None, b"10", b"many"])
async def test_a_body_that_turns_out_to_be_too_large_is_read_no_further(
    declared: bytes | None,
) -> None:
    status, _body, read = await ask([b"x" * 60, b"x" * 60, b"x" * 60], declared=declared)
    assert (status, read) == (413, 60)


async def test_what_is_no_request_passes() -> None:
    heard: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        heard.append(scope["type"])

    await BoundedBodies(app)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert heard == ["lifespan"]
