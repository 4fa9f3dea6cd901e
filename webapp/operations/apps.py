"""The operations app: first-run set-up, admin site, health, management commands."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OperationsConfig(AppConfig):
    """The admin site, and the commands and pages of those who run a studio."""

    name = "webapp.operations"
    # Of its rows the admin site shows the checks of the ledger alone, beside the log.
    verbose_name = _("Log")
