"""The address that ends viewing the studio as another user."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from webapp.core.methods import require_POST
from webapp.operations.acting import end_acting


@login_required
@require_POST
def end(request: HttpRequest) -> HttpResponse:
    """Redirects to the user's page in the admin site; to the studio if nobody was viewed."""
    person = end_acting(request)
    if person is None:
        return redirect("studio")
    return redirect("admin:accounts_user_change", person.pk)
