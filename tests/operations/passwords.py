"""A session whose password was given just now, as forms that move credits demand."""

import time

from django.test import Client


def give_password(client: Client) -> None:
    """Writes down a sign-in with a password that was confirmed a moment ago."""
    session = client.session
    session["account_authentication_methods"] = [
        {"method": "password", "at": time.time(), "reauthenticated": True}
    ]
    session["account_authentication_methods_user"] = session["_auth_user_id"]
    session.save()
