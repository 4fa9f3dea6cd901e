"""Where somebody is signed in: ended everywhere, or everywhere but here."""

from django.contrib.auth import update_session_auth_hash
from django.utils.crypto import get_random_string

from webapp.accounts.models import User
from webapp.accounts.requests import SignedInRequest

EPOCH_LENGTH = 32


def new_epoch() -> str:
    """A fresh value of `User.session_epoch`: sessions that were checked against another end."""
    return get_random_string(EPOCH_LENGTH)


def end_other_sessions(request: SignedInRequest) -> None:
    """Signs the visitor out everywhere else; this session goes on under a new name."""
    user = User.objects.get(pk=request.user.pk)
    user.session_epoch = new_epoch()
    user.save(update_fields=["session_epoch"])
    update_session_auth_hash(request, user)
