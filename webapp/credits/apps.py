"""The credits app: accounts of money-grade micro-credits, opened with every user."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CreditsConfig(AppConfig):
    """Opens an account, with the welcome grant, for every user that is made."""

    name = "webapp.credits"
    verbose_name = _("Credits")

    def ready(self) -> None:
        """Connects the receiver that opens accounts."""
        from webapp.credits import receivers

        receivers.connect()
