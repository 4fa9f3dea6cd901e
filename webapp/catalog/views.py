"""The doors of the price list: the page, and what one image costs."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from webapp.accounts.requests import SignedInRequest
from webapp.catalog.price_selectors import list_model_prices, list_versions
from webapp.catalog.pricing import quote_image, read_prices
from webapp.catalog.selectors import get_offered_model, list_offered_models
from webapp.core.digits import read_whole
from webapp.core.errors import InvalidInput
from webapp.core.methods import require_GET
from webapp.core.units import format_credits


@never_cache
@login_required
@require_GET
def prices(request: SignedInRequest) -> HttpResponse:
    """200 with the list in force as it reads for this user, and the versions before it."""
    in_force = read_prices(user=request.user)
    models = list(list_offered_models(user=request.user))
    lines = list_model_prices(prices=in_force, models=models)
    context = {
        "prices": in_force,
        "models": lines,
        "has_metered": any(line.terms.is_metered for line in lines),
        "versions": list_versions(user=request.user, models=models),
    }
    return render(request, "catalog/prices.html", context)


@never_cache
@login_required
@require_GET
def quote(request: SignedInRequest) -> JsonResponse:
    """What one image of `?model=&width=&height=&steps=` costs this user now, and how that comes
    about. Raises InvalidInput for a model that is not on offer and for what it can't draw."""
    model = get_offered_model(slug=request.GET.get("model", ""), user=request.user)
    quoted = quote_image(
        user=request.user,
        model=model,
        width_px=_whole(request, "width", least=model.min_side_px, most=model.max_side_px),
        height_px=_whole(request, "height", least=model.min_side_px, most=model.max_side_px),
        steps=_whole(request, "steps", least=1, most=model.max_steps),
    )
    return JsonResponse(
        {
            "price_each_ucr": quoted.price_each_ucr,
            "price_each": format_credits(quoted.price_each_ucr),
            "price_list": quoted.price_list_id,
            "terms": quoted.terms,
        }
    )


def _whole(request: SignedInRequest, name: str, *, least: int, most: int) -> int:
    text = request.GET.get(name, "")
    try:
        number = read_whole(text)
    except ValueError:
        number = 0
    if not least <= number <= most:
        labels = {"width": _("Width"), "height": _("Height"), "steps": _("Steps")}
        sentence = _("%(label)s must be a whole number from %(least)d to %(most)d.")
        facts = {"label": labels[name], "least": least, "most": most}
        raise InvalidInput(sentence % facts, field=name)
    return number
