"""The door back from somebody else's eyes."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from webapp.core.methods import require_POST
from webapp.operations.acting import end_acting


@login_required
@require_POST
def end(request: HttpRequest) -> HttpResponse:
    """Back to the person's page in the admin site; to the studio where nobody acted."""
    person = end_acting(request)
    if person is None:
        return redirect("studio")
    return redirect("admin:accounts_user_change", person.pk)
