"""Which methods an address answers: asked before anything else of it is done.

A page that answers GET answers HEAD in the same way, without a body. PUT, PATCH, DELETE and
whatever else is not meant get 405 with an `Allow` that says what is, from whoever they come.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.views.decorators import http

View = TypeVar("View", bound=Callable[..., Any])

PAGE_AND_FORM = ("GET", "POST")  # what views of others take that do not say


def require_http_methods(methods: list[str]) -> Callable[[View], View]:
    """Django's decorator, which `Methods` can ask what it allows."""

    def decorate(view: View) -> View:
        guarded = http.require_http_methods(methods)(view)
        guarded.allowed_methods = tuple(methods)  # type: ignore[attr-defined]
        return guarded

    return decorate


require_GET = require_http_methods(["GET"])  # noqa: N816 - Django's name
require_POST = require_http_methods(["POST"])  # noqa: N816


def allowed_methods(view: Callable[..., Any]) -> list[str]:
    """What may be sent to a view: what our decorators say, a class's own get and post, or else
    (the admin site's functions) GET and POST. HEAD stands beside GET."""
    if said := getattr(view, "allowed_methods", None):
        methods = list(said)
    elif view_class := getattr(view, "view_class", None):
        methods = [one for one in PAGE_AND_FORM if hasattr(view_class, one.lower())]
    else:
        methods = list(PAGE_AND_FORM)
    return ["HEAD", *methods] if "GET" in methods else methods


class Methods:
    """The middleware. It stands before the check of the form's token: a method that is never taken
    needs none."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Passes the request on, HEAD as GET: nobody within can forget it."""
        if request.method != "HEAD":
            return self.get_response(request)
        request.method = "GET"
        response = self.get_response(request)
        request.method = "HEAD"
        return _without_stream(response)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], _args: Any, _kwargs: Any
    ) -> HttpResponse | None:
        """405 for a method that the view does not take; None lets the request through."""
        allowed = allowed_methods(view)
        return None if request.method in allowed else HttpResponseNotAllowed(sorted(allowed))


def _without_stream(response: HttpResponseBase) -> HttpResponseBase:
    """The same head; what would have been streamed is not even begun."""
    if not response.streaming:
        return response  # the server leaves the body out
    response.close()
    bare = HttpResponse(status=response.status_code, headers=dict(response.items()))
    bare.cookies = response.cookies
    return bare
