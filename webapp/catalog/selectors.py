"""Reading the catalog."""

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import InvalidInput

INSTALLED = ~Q(source=DiffusionModel.Source.HUB) | ~Q(installed_path="")


def list_offered_models(*, user: User) -> QuerySet[DiffusionModel]:
    """Enabled models whose files are here and that are for everybody or for the user's group, the
    default first."""
    return DiffusionModel.objects.filter(INSTALLED, is_for(user), enabled=True)


def is_for(user: User) -> Q:
    """What is for everybody or for the user's group, of models and LoRAs."""
    for_user = Q(groups=None)
    return for_user if user.group_id is None else for_user | Q(groups=user.group_id)


def get_offered_model(*, slug: str, user: User) -> DiffusionModel:
    """The model of that slug, if it is on offer to the user; raises InvalidInput with what is
    on offer otherwise."""
    offered_models = list_offered_models(user=user)
    model = offered_models.filter(slug=slug).first()
    if model is not None:
        return model
    offered = ", ".join(offered_models.values_list("slug", flat=True))
    if DiffusionModel.objects.filter(INSTALLED, slug=slug, enabled=True).exists():
        sentence = _("The model “%(slug)s” is for other groups. On offer: %(offered)s.")
    elif DiffusionModel.objects.filter(slug=slug).exists():
        sentence = _("The model “%(slug)s” is disabled. On offer: %(offered)s.")
    else:
        sentence = _("There is no model “%(slug)s”. On offer: %(offered)s.")
    raise InvalidInput(
        sentence % {"slug": slug[:64], "offered": offered or _("none yet")}, field="model"
    )
