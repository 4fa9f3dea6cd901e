"""The doors of those who run the studio: the set-up page and the health check."""

import logging

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from webapp.accounts.requests import SignedInRequest
from webapp.core.errors import Forbidden, InvalidInput
from webapp.core.methods import require_GET, require_http_methods
from webapp.core.neighbours import silent_neighbours
from webapp.operations import setup as first_run
from webapp.operations.audit import get_books_state
from webapp.operations.welcome import describe_studio
from webapp.postgres.limits import HEALTH_S, answers_within

logger = logging.getLogger(__name__)


@never_cache
@require_http_methods(["GET", "POST"])
def setup(request: HttpRequest, token: str) -> HttpResponse:
    """The form of the one-time link: it makes the administrator, signs them in and is spent. Raises
    NotFound if the link was used or is too old."""
    if request.method == "POST":
        return _create_admin(request, token)
    if not first_run.is_open(token=token):
        raise first_run.link_is_spent()
    return render(request, "operations/setup.html", {"email": settings.ADMIN_EMAIL})


@never_cache
@login_required
@require_GET
def welcome(request: SignedInRequest) -> HttpResponse:
    """What a new administrator looks through; it can be opened again. Raises Forbidden for
    everybody but superusers."""
    if not request.user.is_superuser:
        raise Forbidden(_("You may not open this page."))
    studio = describe_studio(admin=request.user)
    return render(request, "operations/welcome.html", {"studio": studio})


@never_cache
@require_GET
def healthz(request: HttpRequest) -> JsonResponse:
    """200 if the database answers, 503 if it does not or takes more than 1.5 s; for load
    balancers, no sign-in.

    `away` names what else is known not to answer, Valkey or the image storage: pages are served
    without. `books` is what the newest nightly check said: clean, violated, or unchecked if
    none ran for two days. It is told and no more: violated books need a person, and taking the
    studio out of service would help nobody, nor would a restart.
    """
    try:
        with answers_within(HEALTH_S):
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            books = get_books_state()
    except DatabaseError as error:
        logger.error("the health check failed: %s", error)
        return JsonResponse({"status": "unavailable"}, status=503)
    away = silent_neighbours()
    return JsonResponse({"status": "ok", "books": books, **({"away": away} if away else {})})


def _create_admin(request: HttpRequest, token: str) -> HttpResponse:
    email, password = request.POST.get("email", "").strip(), request.POST.get("password", "")
    try:
        admin = first_run.create_first_admin(token=token, email=email, password=password)
    except InvalidInput as error:
        context = {"email": email, "error": error}
        return render(request, "operations/setup.html", context, status=error.status)
    login(request, admin)
    return redirect("welcome")
