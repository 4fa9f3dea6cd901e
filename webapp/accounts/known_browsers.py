"""Browsers in which somebody has signed in before: a signed cookie says so.

Whoever guesses a password from outside can't have it, so its owner is never kept waiting by what
strangers try. It opens nothing by itself; it only has a count of wrong tries of its own.
"""

from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import get_random_string, salted_hmac

COOKIE = "known_browser"
# Browsers keep no cookie longer than 400 days.
LIFETIME_S = 400 * 24 * 3600
# Under /accounts/ alone people sign in.
PATH = "/accounts/"
SALT = "webapp.accounts.known_browsers"
ID_LENGTH = 22
PEOPLE_MOST = 5


def known_browser(request: HttpRequest, *, address: str) -> str:
    """The id of the visitor's browser, if somebody with this e-mail address signed in with it;
    otherwise ""."""
    kept = _read(request)
    return str(kept["id"]) if _digest(address) in kept["people"] else ""


def remember_browser(request: HttpRequest, response: HttpResponseBase, *, address: str) -> None:
    """Writes down in the browser that somebody with this address signed in with it: the last
    five of them."""
    kept = _read(request)
    one = _digest(address)
    people = [one, *(other for other in kept["people"] if other != one)][:PEOPLE_MOST]
    response.set_cookie(
        COOKIE,
        signing.dumps({"id": kept["id"], "people": people}, salt=SALT),
        max_age=LIFETIME_S,
        path=PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _read(request: HttpRequest) -> dict[str, Any]:
    """What the cookie says; a new id and nobody if there is none that we wrote."""
    try:
        kept = signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=LIFETIME_S)
    except signing.BadSignature:
        return {"id": get_random_string(ID_LENGTH), "people": []}
    return dict(kept)


def _digest(address: str) -> str:
    return salted_hmac(SALT, address.strip().lower(), algorithm="sha256").hexdigest()[:22]
