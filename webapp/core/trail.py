"""What a line of the log belongs to: the request, the user and the image, from the page that asked
for it to the worker and the engine that draw it.

The web server gives each request an id (`RequestIds`), a generation's row keeps that of the request
that made it, and a worker takes it up with its claim. Tasks bring that of the request that sent
them.
"""

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from webapp.core.bodies import App, Message, Receive, Send

HEADER = b"x-request-id"
SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
ID_BYTES = 12
TASK_HEADER = "darkroom_request_id"


def _nobody() -> int | None:
    return None


@dataclass(slots=True)
class Trail:
    """Who and what is worked for; "" for what is not known. `find_user_id` must not ask the
    database: it is called for each line."""

    request_id: str = ""
    image_id: str = ""
    find_user_id: Callable[[], int | None] = _nobody

    def facts(self) -> dict[str, str | int]:
        """Those that are known, by the names that the log has for them."""
        facts = {
            "request_id": self.request_id,
            "user_id": self.find_user_id(),
            "image_id": self.image_id,
        }
        return {name: fact for name, fact in facts.items() if fact}


_here: ContextVar[Trail | None] = ContextVar("trail", default=None)


def current_trail() -> Trail:
    """That of whatever this thread works for; an empty one if nothing was said."""
    return _here.get() or Trail()


@contextmanager
def on_trail(trail: Trail) -> Iterator[None]:
    """What is logged within belongs to this."""
    token = _here.set(trail)
    try:
        yield
    finally:
        _here.reset(token)


def task_headers() -> dict[str, str]:
    """What a task is sent with, for `take_up_trail`."""
    return {TASK_HEADER: current_trail().request_id}


def take_up_trail(request: Any) -> None:
    """What this thread logs from now on belongs to that request of Celery's, which may name none,
    as those that beat sends."""
    _here.set(Trail(str(request.get(TASK_HEADER) or "")))


class RequestIds:
    """An ASGI application around all others: gives each request an id, and each answer that as
    `X-Request-ID`. Behind `trusted_proxies` the id that the request brings is kept, if it is of 8
    to 64 letters, digits, dots, dashes and underscores: what else a visitor writes goes into no
    log."""

    def __init__(self, app: App, *, trusted_proxies: int) -> None:
        self.app, self.takes_given = app, trusted_proxies > 0

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Passes the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = self._given(scope) or secrets.token_hex(ID_BYTES).encode()

        async def send_named(message: Message) -> None:
            await send(_named(message, request_id))

        with on_trail(Trail(request_id.decode())):
            await self.app(scope, receive, send_named)

    def _given(self, scope: dict[str, Any]) -> bytes:
        """The one id that was sent, if it may be kept; b"" otherwise."""
        given = [value for name, value in scope["headers"] if name == HEADER]
        is_kept = self.takes_given and len(given) == 1 and SAFE_ID.fullmatch(given[0])
        return given[0] if is_kept else b""


class KnownVisitor:
    """The middleware behind the authentication: lines of the log carry the id of whoever is signed
    in, once something has looked who that is. Somebody whom an administrator views is not them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Passes the request on."""
        # Django keeps it there as soon as anybody asks for `request.user`.
        current_trail().find_user_id = lambda: getattr(
            getattr(request, "_cached_user", None), "pk", None
        )
        return self.get_response(request)


def _named(message: Message, request_id: bytes) -> Message:
    if message["type"] != "http.response.start":
        return message
    headers = [pair for pair in message.get("headers", ()) if pair[0].lower() != HEADER]
    return {**message, "headers": [*headers, (HEADER, request_id)]}
