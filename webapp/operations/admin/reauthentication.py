"""Credits move by hand only within five minutes of a password."""

from allauth.account.decorators import reauthentication_required
from allauth.core.exceptions import ReauthenticationRequired
from django.http import HttpRequest


def require_password(request: HttpRequest) -> None:
    """Call it when a form that was sent is about to be acted on. Raises ReauthenticationRequired
    if the last password is too long ago: the middleware asks for it, and sends the form again
    afterwards."""
    query = request.GET
    try:
        _require_password(request)
    except ReauthenticationRequired:
        # The form is sent again only if its whole address is its path; a query, such as the
        # list's filters, is kept beside it.
        request.META["QUERY_STRING"] = ""
        request.GET = query
        raise


@reauthentication_required  # type: ignore[untyped-decorator]
def _require_password(request: HttpRequest) -> None:
    """Nothing, within five minutes of the password."""
