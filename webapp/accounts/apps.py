"""The accounts app: people who sign in with their e-mail address."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Users and their sign-in."""

    name = "webapp.accounts"
    verbose_name = _("People")
