"""The doors of those who run the studio: the set-up page, and how the studio is."""

from typing import cast

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from webapp.accounts.requests import SignedInRequest
from webapp.accounts.sessions import write_down
from webapp.core.errors import NOTHING_HERE, Forbidden, InvalidInput, NotFound
from webapp.core.methods import require_GET, require_http_methods
from webapp.operations import setup as first_run
from webapp.operations.metrics import may_read, write_metrics
from webapp.operations.readiness import studio
from webapp.operations.welcome import describe_studio


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
        raise Forbidden
    studio = describe_studio(admin=request.user)
    return render(request, "operations/welcome.html", {"studio": studio})


@never_cache
@require_GET
def healthz(request: HttpRequest) -> JsonResponse:
    """200: this process answers. Nothing else is asked, so that whoever restarts what does not
    answer restarts no web server for the sake of its database."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_GET
def readyz(request: HttpRequest) -> JsonResponse:
    """200 if everything that the studio needs is there, else 503; no sign-in. One word for each
    part says which is not, and `books` what the newest check of the ledger said, which does not
    count. Most pages are served without the broker, the storage or a worker."""
    ready = studio.read()
    said = {"status": "ok" if ready.is_ready else "unavailable", **ready.parts}
    return JsonResponse({**said, "books": ready.books}, status=200 if ready.is_ready else 503)


@never_cache
@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    """What Prometheus reads. Raises NotFound while neither a token nor addresses are set, and
    Forbidden for whoever has neither."""
    if not (settings.METRICS_TOKEN or settings.METRICS_ADDRESSES):
        raise NotFound(NOTHING_HERE)
    if not may_read(request):
        raise Forbidden
    return HttpResponse(write_metrics(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _create_admin(request: HttpRequest, token: str) -> HttpResponse:
    email, password = request.POST.get("email", "").strip(), request.POST.get("password", "")
    try:
        admin = first_run.create_first_admin(token=token, email=email, password=password)
    except InvalidInput as error:
        context = {"email": email, "error": error}
        return render(request, "operations/setup.html", context, status=error.status)
    login(request, admin)
    write_down(cast(SignedInRequest, request))
    return redirect("welcome")
