"""The door that an invitation opens."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from webapp.accounts import invitations
from webapp.core.errors import NotFound
from webapp.core.methods import require_GET


@never_cache
@require_GET
def invite(request: HttpRequest, token: str) -> HttpResponse:
    """Remembers the invitation in the session and redirects to the sign-up page; to the studio if
    the visitor is signed in. Raises NotFound if the invitation cannot be used."""
    if request.user.is_authenticated:
        messages.info(
            request, _("You have an account already: the invitation is for somebody new.")
        )
        return redirect("studio")
    found = invitations.find_invitation(token=token)
    if found is None and settings.SIGNUP != "closed":
        raise NotFound(invitations.SPENT)
    if found is not None:
        invitations.remember_invitation(request, found)
    return redirect("account_signup")
