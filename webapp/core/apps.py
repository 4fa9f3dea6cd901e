"""The core app: errors, middleware and secrets that every room uses."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CoreConfig(AppConfig):
    """The room is an app so that its log, its templates and its checks are found."""

    name = "webapp.core"
    verbose_name = _("Log")
