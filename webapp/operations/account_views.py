"""The page of one's own account, and what can be done there: sessions, export, deletion."""

from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.i18n import set_language

from webapp.accounts.languages import keep_language
from webapp.accounts.requests import SignedInRequest
from webapp.accounts.second_step import count_by_kind, list_second_steps
from webapp.accounts.sessions import end_other_sessions, end_session, list_sign_ins
from webapp.core.errors import Conflict
from webapp.core.methods import require_GET, require_http_methods, require_POST
from webapp.core.zipping import stream_zip
from webapp.credits.selectors import get_balance
from webapp.operations.acting import acting_of
from webapp.operations.export import count_images, list_entries
from webapp.operations.people import delete_user


@never_cache
@login_required
@require_GET
def account(request: SignedInRequest) -> HttpResponse:
    """Who one is here, and the ways to everything that can be changed about it."""
    context = {
        "group": request.user.group,
        "balance": get_balance(user=request.user),
        "languages": settings.LANGUAGES,
        "can_change_address": bool(settings.EMAIL_HOST),
        "steps": count_by_kind(list_second_steps(user=request.user)),
        # An administrator who views as this user is signed in under their own name.
        "sign_ins": [] if acting_of(request) else list_sign_ins(request),
    }
    return render(request, "accounts/account.html", context)


@login_required
@require_POST
def end_sessions(request: SignedInRequest) -> HttpResponse:
    """Signs the user out in every other browser; this one stays signed in."""
    end_other_sessions(request)
    messages.success(request, _("You are signed out everywhere else."))
    return redirect("account")


@login_required
@require_POST
def end_one_session(request: SignedInRequest, session_id: int) -> HttpResponse:
    """Signs the user out in one other browser. Raises NotFound if it is not one of theirs, or ended
    before, and Conflict for this one."""
    end_session(request, session_id=session_id)
    messages.success(request, _("That browser is signed out."))
    return redirect("account")


@login_required
@require_POST
def choose_language(request: SignedInRequest) -> HttpResponseBase:
    """Keeps the language in a cookie, and with the user for mails, and goes back to the page that
    asked."""
    keep_language(user=request.user, language=request.POST.get("language", ""))
    return set_language(request)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
@reauthentication_required  # type: ignore[untyped-decorator]
def export(request: SignedInRequest) -> HttpResponseBase:
    """What the archive holds; sent as a POST, the archive itself."""
    if request.method == "GET":
        context = {"images": count_images(user=request.user)}
        return render(request, "accounts/export.html", context)
    # The user is read now: the stream goes on after this request is answered.
    body = stream_zip(list_entries(user=request.user))
    response = StreamingHttpResponse(body, content_type="application/zip")
    name = f"darkroom-{timezone.localdate().isoformat()}.zip"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    if not connection.in_atomic_block:
        connection.close()
    return response


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
@reauthentication_required  # type: ignore[untyped-decorator]
def delete_account(request: SignedInRequest) -> HttpResponse:
    """What goes and what stays; sent as a POST, it is done, and the visitor is signed out."""
    error: Conflict | None = None
    if request.method == "POST":
        try:
            delete_user(user=request.user, actor=request.user, reason=_("own request"))
        except Conflict as refusal:
            error = refusal
        else:
            logout(request)
            messages.success(request, _("Your account is being deleted. Good-bye!"))
            return redirect("account_login")
    context = {
        "error": error,
        "images": count_images(user=request.user),
        "balance": get_balance(user=request.user),
    }
    return render(request, "accounts/delete.html", context, status=error.status if error else 200)
