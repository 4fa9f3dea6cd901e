"""The core app: errors, middleware and secrets that every room uses."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Registers no models; the room is an app so that its templates and checks are found."""

    name = "webapp.core"
