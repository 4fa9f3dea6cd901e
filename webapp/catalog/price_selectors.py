"""Reading the price list as its page shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Prefetch

from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel, GroupPrice, ModelPrice, PriceList
from webapp.catalog.pricing import WHOLE_PRICE, Prices, Terms, plain

VERSIONS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One model: how it is priced, and what an image of its usual size and steps costs.

    `usual_ucr` is None for somebody whose group has no price.
    """

    model: DiffusionModel
    terms: Terms
    usual_ucr: int | None


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version of the list; `until` None: it is in force.

    `share` is what this user's group, as it is today, paid of it; "": it had no price then.
    """

    version: PriceList
    until: datetime | None
    share: str
    models: list[tuple[str, Terms]]


def list_model_prices(*, prices: Prices, models: Sequence[DiffusionModel]) -> list[ModelLine]:
    """What each of the models costs, in their order."""
    return [
        ModelLine(model, prices.terms_of(model), usual_price_ucr(prices=prices, model=model))
        for model in models
    ]


def usual_price_ucr(*, prices: Prices, model: DiffusionModel) -> int | None:
    """The price of an image of the model's usual size and steps; None if there is none."""
    if prices.problem:
        return None
    size = {"width_px": model.width_px, "height_px": model.height_px, "steps": model.steps}
    return prices.quote(model=model, **size).price_each_ucr


def list_versions(*, user: User, models: Sequence[DiffusionModel]) -> list[VersionLine]:
    """The newest 50 versions, newest first, with the prices of those models alone: nobody reads
    here what other groups may draw with."""
    own = ModelPrice.objects.filter(model__in=models).order_by("model__name")
    mine = GroupPrice.objects.filter(group=user.group_id) if user.group_id else None
    versions = PriceList.objects.prefetch_related(
        Prefetch("models", queryset=own.select_related("model")),
        Prefetch("groups", queryset=GroupPrice.objects.none() if mine is None else mine),
    )[:VERSIONS_SHOWN]
    lines: list[VersionLine] = []
    until = None
    for version in versions:
        lines.append(_version_line(version, until, in_group=user.group_id is not None))
        until = version.created_at
    return lines


def terms_of_row(price: ModelPrice) -> Terms:
    """The terms that a row of the list says."""
    return Terms(price.mode, price.flat_ucr, price.factor, price.floor_ucr)


def _version_line(version: PriceList, until: datetime | None, *, in_group: bool) -> VersionLine:
    shares = [plain(price.multiplier) for price in version.groups.all()]
    share = shares[0] if shares else "" if in_group else plain(WHOLE_PRICE)
    own = [(price.model.name, terms_of_row(price)) for price in version.models.all()]
    return VersionLine(version, until, share, own)
