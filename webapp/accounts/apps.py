"""The accounts app: people who sign in with their e-mail address."""

from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Users, groups, and how they sign up and sign in."""

    name = "webapp.accounts"
    verbose_name = _("Users")

    def ready(self) -> None:
        """Registers the checks, and what signing in, two-factor authentication and the end of a
        session bring along."""
        from allauth.mfa.signals import authenticator_added
        from allauth.usersessions.models import UserSession
        from django.contrib.auth.signals import user_logged_in
        from django.db.models.signals import post_delete

        from webapp.accounts import checks, languages, sessions

        register(checks.check_public_url)
        authenticator_added.connect(
            sessions.end_sessions_without_second_step,
            dispatch_uid="accounts.end_sessions_without_second_step",
        )
        user_logged_in.connect(languages.notice_language, dispatch_uid="accounts.notice_language")
        post_delete.connect(
            sessions.erase_session, sender=UserSession, dispatch_uid="accounts.erase_session"
        )
