"""Turns the errors of `core.errors`, and a server that is away, into answers."""

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.db import InterfaceError, OperationalError
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponsePermanentRedirect,
    JsonResponse,
)
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from webapp.core.errors import DarkroomError, NotAllowed, Unavailable
from webapp.core.neighbours import NeighbourAway
from webapp.core.probes import PROBES

logger = logging.getLogger(__name__)

# PostgreSQL, the image storage, the mail server, or Valkey if something cannot do without it.
SERVER_ERRORS = (OperationalError, InterfaceError, RedisError, NeighbourAway)


def wants_json(request: HttpRequest) -> bool:
    """True if the caller prefers JSON to a page (scripts, the studio's own fetches)."""
    preferred = request.get_preferred_type(["text/html", "application/json"])
    return preferred == "application/json"


def error_response(request: HttpRequest, error: DarkroomError) -> HttpResponse:
    """The error as JSON (`{"error": {"code", "message"}}`) or as a page with a way back."""
    if wants_json(request):
        return JsonResponse({"error": error.as_dict()}, status=error.status)
    # No context processors: they would ask the servers that may be what is away.
    context: dict[str, Any] = {
        "error": error,
        "request": request,
        "back": _page_before(request),
        # What broke in the middle may have been done before it broke.
        "is_uncharged": request.method == "POST" and error.status < 500,
    }
    if acting := getattr(request, "acting", None):
        context |= {"acting": acting, "csrf_token": get_token(request)}
    page = render_to_string("core/error.html", context)
    return HttpResponse(page, status=error.status)


def _page_before(request: HttpRequest) -> str:
    """The page of this studio that led here; "" if none did, or this very one."""
    before = urlsplit(request.META.get("HTTP_REFERER", ""))
    path = f"{before.path}?{before.query}" if before.query else before.path
    is_ours = before.netloc == request.META.get("HTTP_HOST") and path.startswith("/")
    is_other = path not in {"/", request.get_full_path()}
    is_safe = url_has_allowed_host_and_scheme(path, allowed_hosts=None)
    return path if is_ours and is_other and is_safe else ""


def server_away(request: HttpRequest, error: BaseException) -> HttpResponse:
    """503 with a sentence; the cause goes to the log."""
    logger.error("a server that is needed does not answer: %s", error)
    away = Unavailable(_("The studio is busy. Please try again in a moment."))
    response = error_response(request, away)
    response["Retry-After"] = "5"
    return response


class HostOfPages(CommonMiddleware):
    """Django's, which refuses a request for a host that is not ours. Probes are answered whatever
    they were asked by: a container, a load balancer or Prometheus knows an address and no name, and
    the answer names no host."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """None if the request may go on, else a redirect to the address with its slash. Raises
        DisallowedHost."""
        if request.path_info in PROBES:
            return None
        return super().process_request(request)


class KeptByNobody:
    """Says of every answer that does not speak of caching itself that nobody keeps it: pages of
    somebody, of other packages too, and the errors in their place. Static files, which browsers do
    keep, are answered before."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Passes the request on."""
        response = self.get_response(request)
        if not response.has_header("Cache-Control"):
            add_never_cache_headers(response)
        return response


class ErrorSentences:
    """Answers a DarkroomError with its sentence, a lost server with 503 and Retry-After, and a
    visit to an address that only takes forms with a way back."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Passes the request on."""
        response = self.get_response(request)
        if not isinstance(response, HttpResponseNotAllowed):
            return response
        sentence = _("There is no page at this address. Use the button that leads to it.")
        said = error_response(request, NotAllowed(sentence))
        said["Allow"] = response["Allow"]
        return said

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answers the errors we know; None leaves any other one to Django (a logged 500)."""
        if isinstance(error, DarkroomError):
            return error_response(request, error)
        if isinstance(error, SERVER_ERRORS):
            return server_away(request, error)
        return None
