"""No request brings more than anything here takes.

Django's handler writes a body to the disk, whole, before anybody is asked who they are: without
this a stranger could fill it.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

MEGABYTE = 1024 * 1024
MOST_BYTES = 24 * MEGABYTE  # an image of 20 MB, and the form around it


class BoundedBodies:
    """An ASGI application around another one: answers 413 instead of it if a body says that it
    is larger than `most_bytes`, or turns out to be."""

    def __init__(self, app: App, *, most_bytes: int = MOST_BYTES) -> None:
        self.app = app
        self.most_bytes = most_bytes

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Passes the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif _declared_bytes(scope) > self.most_bytes:
            await self._refuse(send)
        else:
            await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            # Django gives up on a visitor who has left, without an answer: that is ours.
            return {"type": "http.disconnect"} if received > self.most_bytes else message

        await self.app(scope, receive_bounded, send)
        if received > self.most_bytes:
            await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        sentence = _("This is too large: at most %(most)d MB can be sent at once.")
        message = sentence % {"most": self.most_bytes // MEGABYTE}
        body = json.dumps({"error": {"code": "too_large", "message": message}}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _declared_bytes(scope: dict[str, Any]) -> int:
    """What the body says of its size; 0 if it does not say."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    return int(declared) if declared.isdigit() else 0
