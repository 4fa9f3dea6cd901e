"""Behind a proxy all connections are the proxy's: there the requests are counted, each under the
address that it was forwarded for."""

import json

from webapp.core.addresses import InUse, forwarded_address
from webapp.core.bodies import App, Receive, Send


class BoundedVisitors:
    """An ASGI application around another one: answers 429 instead of it to an address that has
    `most` requests under way, event streams among them. 0 is no limit."""

    def __init__(self, app: App, *, most: int, trusted_proxies: int) -> None:
        self.app, self.trusted_proxies = app, trusted_proxies
        self.in_use = InUse(most)

    async def __call__(self, scope: dict[str, object], receive: Receive, send: Send) -> None:
        """Passes the request on."""
        if scope["type"] != "http" or not self.trusted_proxies:
            await self.app(scope, receive, send)
            return
        address = self._address(scope)
        if not self.in_use.take(address):
            await _refuse(send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            self.in_use.give_back(address)

    def _address(self, scope: dict[str, object]) -> str:
        client, headers = scope.get("client"), scope["headers"]
        assert isinstance(headers, list)  # noqa: S101 - ASGI's own form
        sent = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        return forwarded_address(
            direct=str(client[0]) if isinstance(client, tuple | list) else "",
            forwarded=sent.decode("latin-1"),
            trusted_proxies=self.trusted_proxies,
        )


async def _refuse(send: Send) -> None:
    message = "Too many requests at once from your address: wait for some, or close some pages."
    body = json.dumps({"error": {"code": "too_many_requests", "message": message}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", b"5"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": body})
