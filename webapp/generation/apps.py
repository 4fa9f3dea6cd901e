"""The generation app: requests for images, their queue, leases and files."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GenerationConfig(AppConfig):
    """Generations and images."""

    name = "webapp.generation"
    verbose_name = _("Queue")
