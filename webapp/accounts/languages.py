"""The language that somebody reads, for mails that are written while they are away."""

from typing import Any

from django.conf import settings
from django.utils.translation import get_language

from webapp.accounts.models import User


def keep_language(*, user: User, language: str) -> None:
    """Keeps what the user chose; a language that the studio does not offer changes nothing."""
    if language in dict(settings.LANGUAGES):
        User.objects.filter(pk=user.pk).update(language=language)


def notice_language(sender: Any, *, user: User, **_signal: Any) -> None:
    """At sign-in: the language of the page, unless one was kept before."""
    language = get_language() or ""
    if user.language or language not in dict(settings.LANGUAGES):
        return
    # Of two sign-ins at once one is first.
    if User.objects.filter(pk=user.pk, language="").update(language=language):
        user.language = language


def language_of(user: User) -> str:
    """The language to write to the user in; the studio's own while none is known, or if theirs is
    no longer offered."""
    return user.language if user.language in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
