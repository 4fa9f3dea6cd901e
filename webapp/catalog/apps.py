"""The catalog app: the models on offer and what an image costs."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CatalogConfig(AppConfig):
    """Models on offer."""

    name = "webapp.catalog"
    verbose_name = _("Catalog")
