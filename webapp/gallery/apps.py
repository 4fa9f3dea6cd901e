"""The gallery app: finished images of one's own, their files and downloads."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GalleryConfig(AppConfig):
    """Reads what generation stored."""

    name = "webapp.gallery"
    verbose_name = _("Gallery")
