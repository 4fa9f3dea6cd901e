"""The operations app: first-run set-up, admin site, health, management commands."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OperationsConfig(AppConfig):
    """What the people who run a studio need."""

    name = "webapp.operations"
    # Of its rows the admin site shows the checks of the books alone, beside the log.
    verbose_name = _("Log")
