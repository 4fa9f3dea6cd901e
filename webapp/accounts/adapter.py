"""How django-allauth makes our users, and whether it may."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core.errors import Conflict


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up is open or closed by setting; a user and the welcome credits are one commit."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """False shows the "sign-up is closed" page."""
        return bool(settings.SIGNUP_OPEN)

    def clean_email(self, email: str) -> str:
        """The address; raises ValidationError where it is too long (allauth would cut it off)."""
        cleaned: str = super().clean_email(email)
        most = User._meta.get_field("email").max_length or 0
        if len(cleaned) > most:
            sentence = _("An e-mail address has at most %(most)d characters.")
            raise ValidationError(sentence % {"most": most})
        return cleaned

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """The saved user; the account and the grant are made in the same transaction.

        Raises Conflict where a request beside this one took the address after the form was checked.
        """
        try:
            with transaction.atomic():
                saved: User = super().save_user(request, user, form, commit)
        except IntegrityError as error:
            if not User.objects.filter(email=user.email).exists():
                raise
            raise Conflict(_("There is an account with this address already.")) from error
        return saved

    def get_client_ip(self, request: HttpRequest) -> str:
        """The visitor's address; X-Forwarded-For counts only behind `DARKROOM_TRUSTED_PROXIES`."""
        direct: str = request.META.get("REMOTE_ADDR", "") or "local"
        if not settings.TRUSTED_PROXIES:
            return direct
        hops = request.headers.get("X-Forwarded-For", "").split(",")
        chain = [hop.strip() for hop in hops if hop.strip()] + [direct]
        return chain[max(0, len(chain) - 1 - settings.TRUSTED_PROXIES)]
