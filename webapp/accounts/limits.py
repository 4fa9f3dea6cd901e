"""How often a secret may be tried, and how often a mail goes to one address.

Every limit counts where the tries come from, never whom they are about: a stranger uses up their
own tries, and nobody else's.

    password           address and source; a known browser by itself; a source over all addresses
    code at sign-in    user and source; a known browser by itself; a user over all unknown browsers
                       (six digits could be guessed from many sources; whoever is asked for a code
                       has given the right password)
    asked again        the session, for password and code alike
    mails              mailbox; a known browser by itself. What was mailed before still works.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from webapp.accounts.known_browsers import known_browser
from webapp.accounts.mailboxes import mailbox_of
from webapp.accounts.models import User
from webapp.accounts.networks import client_address
from webapp.core.addresses import address_block
from webapp.core.errors import TooMany
from webapp.core.rates import count_attempt, give_back_attempt

MINUTE_S, HOUR_S = 60, 3600


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` tries under `name` within `window_s`."""

    name: str
    most: int
    window_s: int


def count_password(request: HttpRequest, *, address: str) -> list[Limit]:
    """Counts a password that is tried for this e-mail address, right or wrong; returns what was
    counted, for `give_back`. Raises TooMany, with when to try again, beyond five in five minutes.
    """
    whom = _digest(address.strip().lower())
    if browser := known_browser(request, address=address):
        return _count([Limit(f"password:browser:{browser}:{whom}", 5, 5 * MINUTE_S)])
    source = _source(request)
    return _count(
        [
            Limit(f"password:{whom}:{source}", 5, 5 * MINUTE_S),
            Limit(f"password:source:{source}", 10, MINUTE_S),
        ]
    )


def count_code(request: HttpRequest, *, user: User) -> list[Limit]:
    """The same for a code that is tried at sign-in, after the right password."""
    if browser := known_browser(request, address=user.email):
        return _count([Limit(f"code:browser:{browser}:{user.pk}", 5, 5 * MINUTE_S)])
    return _count(
        [
            Limit(f"code:{user.pk}:{_source(request)}", 5, 5 * MINUTE_S),
            Limit(f"code:{user.pk}", 30, HOUR_S),
        ]
    )


def count_again(request: HttpRequest) -> list[Limit]:
    """The same for a password or code that somebody who is signed in is asked for again."""
    return _count([Limit(f"again:{_digest(request.session.session_key or '')}", 5, 5 * MINUTE_S)])


def give_back(counted: Sequence[Limit]) -> None:
    """Takes back what was counted against these limits: the try was right."""
    for limit in counted:
        give_back_attempt(name=limit.name)


def may_mail(request: HttpRequest, *, address: str) -> bool:
    """Counts a mail that a visitor asked for. False if enough of them went to this mailbox within
    the hour: nobody's mailbox is filled from here, and the links in the earlier mails still work.
    """
    browser = known_browser(request, address=address)
    try:
        _count([Limit(f"mail:{_digest(mailbox_of(address))}:{browser}", 5, HOUR_S)])
    except TooMany:
        return False
    return True


def _count(limits: list[Limit]) -> list[Limit]:
    for limit in limits:
        count_attempt(name=limit.name, limit=limit.most, window_s=limit.window_s)
    return limits


def _source(request: HttpRequest) -> str:
    return address_block(client_address(request))


def _digest(text: str) -> str:
    return salted_hmac("webapp.accounts.limits", text, algorithm="sha256").hexdigest()[:32]
