"""Signing in through the pages, as people do."""

from django.test import Client

from tests.people import PASSWORD
from webapp.accounts.models import User


def sign_in(user: User, **headers: str) -> Client:
    """A browser that came as far as the password leads."""
    client = Client(headers=headers)
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


def with_password(user: User) -> Client:
    """Signed in, and the password was given again a moment ago."""
    client = sign_in(user)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def is_in(client: Client) -> bool:
    """Whether pages open that want somebody signed in."""
    return client.get("/account/").status_code == 200
