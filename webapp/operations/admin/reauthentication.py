"""Credits move by hand only within five minutes of a password."""

from allauth.account.decorators import reauthentication_required
from django.http import HttpRequest


@reauthentication_required  # type: ignore[untyped-decorator]
def require_password(request: HttpRequest) -> None:
    """Call it where a form that was sent is about to be acted on. Raises ReauthenticationRequired
    where the last password is too long ago: the middleware asks for it, and sends the form again
    afterwards."""
