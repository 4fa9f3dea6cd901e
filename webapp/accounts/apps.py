"""The accounts app: people who sign in with their e-mail address."""

from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Users, groups, and how they sign up and sign in."""

    name = "webapp.accounts"
    verbose_name = _("People")

    def ready(self) -> None:
        """Registers the checks, and what switching two-factor authentication on does."""
        from allauth.mfa.signals import authenticator_added

        from webapp.accounts import checks, sessions

        register(checks.check_public_url)
        authenticator_added.connect(
            sessions.end_sessions_without_second_step,
            dispatch_uid="accounts.end_sessions_without_second_step",
        )
