"""The pages behind Django's error handlers, each with a sentence and a way back."""

import sys

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from webapp.core.errors import DarkroomError, Forbidden, InvalidInput, NotFound, TooMany
from webapp.core.middleware import SERVER_ERRORS, error_response, server_away


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: the request could not be read."""
    return error_response(request, InvalidInput(_("That request could not be read."), field=""))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: the form's security token is missing or old; reloading the page mends it."""
    sentence = _("This page was open for too long. Reload it and try again.")
    return error_response(request, Forbidden(sentence))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403: signed in, but not allowed."""
    return error_response(request, Forbidden())


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: the same words whether nothing is there or it is somebody else's."""
    return error_response(request, NotFound())


def too_many(request: HttpRequest) -> HttpResponse:
    """429: allauth calls it when somebody signs in, signs up or asks for mails too often."""
    sentence = _("Too many requests. Wait a minute, then try again.")
    return error_response(request, TooMany(sentence))


def server_error(request: HttpRequest) -> HttpResponse:
    """500, or 503 if the failure is a server that does not answer."""
    error = sys.exc_info()[1]
    if isinstance(error, SERVER_ERRORS):
        return server_away(request, error)
    sentence = _("Something went wrong on our side. The error was logged for the administrators.")
    return error_response(request, DarkroomError(sentence))
