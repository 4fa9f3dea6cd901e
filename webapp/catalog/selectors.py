"""Reading the catalog."""

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from webapp.catalog.models import DiffusionModel
from webapp.core.errors import InvalidInput

INSTALLED = ~Q(source=DiffusionModel.Source.HUB) | ~Q(installed_path="")


def list_offered_models() -> QuerySet[DiffusionModel]:
    """Enabled models whose files are here, the default first."""
    return DiffusionModel.objects.filter(INSTALLED, enabled=True)


def get_offered_model(*, slug: str) -> DiffusionModel:
    """The enabled model of that slug; raises InvalidInput with what is on offer otherwise."""
    model = list_offered_models().filter(slug=slug).first()
    if model is not None:
        return model
    offered = ", ".join(list_offered_models().values_list("slug", flat=True))
    if DiffusionModel.objects.filter(slug=slug).exists():
        sentence = _("The model “%(slug)s” is switched off. On offer: %(offered)s.")
    else:
        sentence = _("There is no model “%(slug)s”. On offer: %(offered)s.")
    raise InvalidInput(
        sentence % {"slug": slug[:64], "offered": offered or _("none yet")}, field="model"
    )
