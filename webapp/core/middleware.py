"""Turns the errors of `core.errors`, and a server that is away, into answers."""

import logging
from collections.abc import Callable
from typing import Any

import redis
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from webapp.core.errors import DarkroomError, Unavailable

logger = logging.getLogger(__name__)

# PostgreSQL, or Valkey (the rate limits' counters), does not answer.
SERVER_AWAY = (OperationalError, InterfaceError, redis.ConnectionError, redis.TimeoutError)

# PostgreSQL, or Valkey where a page cannot do without it (the rate limits of sign-in).
SERVER_ERRORS = (OperationalError, InterfaceError, RedisError)


def wants_json(request: HttpRequest) -> bool:
    """True where the caller prefers JSON to a page (scripts, the studio's own fetches)."""
    preferred = request.get_preferred_type(["text/html", "application/json"])
    return preferred == "application/json"


def error_response(request: HttpRequest, error: DarkroomError) -> HttpResponse:
    """The error as JSON (`{"error": {"code", "message"}}`) or as a page with a way back."""
    if wants_json(request):
        return JsonResponse({"error": error.as_dict()}, status=error.status)
    # Without the request: its context would ask the servers that may be what is away.
    context: dict[str, Any] = {"error": error}
    if acting := getattr(request, "acting", None):
        context |= {"acting": acting, "csrf_token": get_token(request)}
    page = render_to_string("core/error.html", context)
    return HttpResponse(page, status=error.status)


def server_away(request: HttpRequest, error: BaseException) -> HttpResponse:
    """503 with a sentence; the cause goes to the log."""
    logger.error("a server that is needed does not answer: %s", error)
    away = Unavailable(_("The studio is catching its breath. Please try again in a moment."))
    response = error_response(request, away)
    response["Retry-After"] = "5"
    return response


class ErrorSentences:
    """Answers a DarkroomError with its sentence, and a lost server with 503 and Retry-After."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Passes the request on."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answers the errors we know; None leaves any other one to Django (a logged 500)."""
        if isinstance(error, DarkroomError):
            return error_response(request, error)
        if isinstance(error, SERVER_ERRORS):
            return server_away(request, error)
        return None
