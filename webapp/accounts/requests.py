"""The type of a request behind `login_required`."""

from django.http import HttpRequest

from webapp.accounts.models import User


class SignedInRequest(HttpRequest):
    """A request whose user is known: views behind `login_required` take this one."""

    user: User
