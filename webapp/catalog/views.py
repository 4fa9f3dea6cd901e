"""The page of the price list."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from webapp.accounts.requests import SignedInRequest
from webapp.catalog.price_selectors import list_model_prices, list_versions
from webapp.catalog.pricing import read_prices
from webapp.catalog.selectors import list_offered_models
from webapp.core.methods import require_GET


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
