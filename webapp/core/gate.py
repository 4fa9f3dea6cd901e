"""Every text that comes in passes here, before anything of ours reads it.

PostgreSQL keeps no NUL and no half of a surrogate pair: such a text would break whatever first
takes it to a query, a long way from the door. What is not UTF-8 would be mended in silence.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from webapp.core.errors import InvalidInput
from webapp.core.middleware import error_response

UNKEPT = re.compile("[\x00\ud800-\udfff]")


class CleanHead:
    """Answers 400 with one sentence to a request that holds text nobody could keep in its address,
    its headers or its cookies."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Passes the request on."""
        field = _first_unkept(_head(request))
        return self.get_response(request) if field is None else _refuse(request, field)


class CleanBody:
    """The same for its form, the names of its files, and its JSON."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Passes the request on."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_view: Any) -> HttpResponse | None:
        """None if the view may have the request; otherwise the answer that refuses it."""
        if request.method in {"GET", "HEAD", "OPTIONS"}:
            return None
        field = _first_unkept(_body(request))
        return None if field is None else _refuse(request, field)


def _head(request: HttpRequest) -> Iterator[tuple[str, str]]:
    yield "address", request.path_info
    yield "address", _as_sent(request.META.get("QUERY_STRING", ""))
    yield from _pairs(request.GET)
    yield from request.COOKIES.items()
    for name, value in request.META.items():
        if name.startswith("HTTP_"):
            yield name.removeprefix("HTTP_").replace("_", "-").title(), str(value)


def _body(request: HttpRequest) -> Iterator[tuple[str, str]]:
    if request.content_type == "application/json":
        yield from _json(request)
        return
    yield from _pairs(request.POST)
    for name, files in request.FILES.lists():
        yield name, name
        for file in files:
            yield name, f"{file.name}{file.content_type}"


def _pairs(data: Any) -> Iterator[tuple[str, str]]:
    for name, values in data.lists():
        yield "form", name
        for value in values:
            yield name, value


def _json(request: HttpRequest) -> Iterator[tuple[str, str]]:
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):  # the view says what it takes
        return
    # A list of what is left, and no recursion: a stranger says how deep it goes.
    left = [("body", body)]
    while left:
        field, value = left.pop()
        if isinstance(value, str):
            yield field, value
        elif isinstance(value, list):
            left += [(field, one) for one in value]
        elif isinstance(value, dict):
            left += [(field, name) for name in value]
            left += value.items()


def _as_sent(query: str) -> str:
    """The query string decoded, with half a surrogate pair for each byte that is not UTF-8."""
    return unquote_to_bytes(query).decode("utf-8", "surrogateescape")


def _first_unkept(texts: Iterator[tuple[str, str]]) -> str | None:
    return next((field for field, text in texts if UNKEPT.search(text)), None)


def _refuse(request: HttpRequest, field: str) -> HttpResponse:
    sentence = _(
        "The text contains characters that can't be stored (NUL, or invalid UTF-8). "
        "Remove them and try again."
    )
    return error_response(request, InvalidInput(sentence, field=UNKEPT.sub("", field)[:40]))
