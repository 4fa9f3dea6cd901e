"""What the header of every page shows."""

from typing import Any

from django.http import HttpRequest

from webapp.accounts.models import User
from webapp.core.units import format_credits
from webapp.credits.selectors import get_balance


def header(request: HttpRequest) -> dict[str, Any]:
    """The balance of whoever is signed in, read only when a template shows it."""

    def balance() -> str:
        user = getattr(request, "user", None)
        if not isinstance(user, User):
            return ""
        return format_credits(get_balance(user=user).available_ucr)

    return {"header_balance": balance}
