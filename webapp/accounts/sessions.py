"""Where somebody is signed in: listed, ended one by one, everywhere, or everywhere but here."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth import update_session_auth_hash
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _

from webapp.accounts.browsers import Browser, read_browser
from webapp.accounts.models import User
from webapp.accounts.requests import SignedInRequest
from webapp.core.errors import Conflict, NotFound

Kind = Authenticator.Type
EPOCH_LENGTH = 32


@dataclass(frozen=True, slots=True)
class SignIn:
    """One browser that is signed in, since when and from where."""

    id: int
    browser: Browser
    ip: str
    since: datetime
    is_here: bool


def new_epoch() -> str:
    """A fresh value of `User.session_epoch`: sessions that were checked against another end."""
    return get_random_string(EPOCH_LENGTH)


def list_sign_ins(request: SignedInRequest) -> list[SignIn]:
    """Every browser in which the visitor is signed in, this one first, then the newest.

    One that ended meanwhile is forgotten on the way; this one is written down if a studio older
    than the list did not.
    """
    write_down(request)
    kept = UserSession.objects.purge_and_list(request.user)
    here = request.session.session_key
    found = [
        SignIn(
            one.pk, read_browser(one.user_agent), one.ip, one.created_at, one.session_key == here
        )
        for one in kept
    ]
    return sorted(found, key=lambda one: (one.is_here, one.since), reverse=True)


def end_session(request: SignedInRequest, *, session_id: int) -> None:
    """Signs the visitor out in one other browser. Raises NotFound if it is not one of theirs,
    or ended before, and Conflict for the one that asks."""
    session = UserSession.objects.filter(user=request.user, pk=session_id).first()
    if session is None:
        raise NotFound(_("That browser is signed out already."))
    if session.session_key == request.session.session_key:
        raise Conflict(_("This is the browser that you are using: sign out in the menu."))
    session.end()


def end_other_sessions(request: SignedInRequest) -> None:
    """Signs the visitor out everywhere else; this session goes on under a new name."""
    user = User.objects.get(pk=request.user.pk)
    user.session_epoch = new_epoch()
    user.save(update_fields=["session_epoch"])
    update_session_auth_hash(request, user)
    write_down(request)


def end_sessions_without_second_step(
    sender: type[Authenticator],
    request: SignedInRequest,
    user: User,
    authenticator: Authenticator,
    **kwargs: Any,
) -> None:
    """Called when somebody adds a factor: with the first one, every other session ends, as those
    were begun with the password alone. A further app or passkey ends nothing."""
    steps = Authenticator.objects.filter(user=user).exclude(type=Kind.RECOVERY_CODES)
    if authenticator.type != Kind.RECOVERY_CODES and steps.count() == 1:
        end_other_sessions(request)


def erase_session(sender: type[UserSession], instance: UserSession, **kwargs: Any) -> None:
    """Called when the line of a browser goes, with its user or without: the session goes along.
    Its row names the user, and nothing else would say whose it is."""
    Session.objects.filter(pk=instance.session_key).delete()


def forget_ended_sessions() -> None:
    """Deletes the rows of sessions that are over."""
    SessionStore.clear_expired()


def write_down(request: SignedInRequest) -> None:
    """Adds the visitor's browser to their list. Whatever signs somebody in does that, or calls
    this: without it nobody would find the session when the user is deleted."""
    if not UserSession.objects.filter(session_key=request.session.session_key).exists():
        UserSession.objects.create_from_request(request)
