"""Price lists and groups that tests are about."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from webapp.accounts.models import UserGroup
from webapp.catalog.models import DiffusionModel, GroupPrice, ModelPrice, PriceList
from webapp.core.units import to_ucr

Flats = Mapping[DiffusionModel, str]
Metered = Mapping[DiffusionModel, tuple[str, str]]  # model -> (factor, floor)


def make_group(name: str, **fields: Any) -> UserGroup:
    """A group without limits, allowance or members."""
    return UserGroup.objects.create(name=name, **fields)


def make_list(
    flat: str,
    *,
    flats: Flats | None = None,
    metered: Metered | None = None,
    groups: Mapping[UserGroup, str] | None = None,
    note: str = "",
) -> PriceList:
    """The next version, in force from now on; amounts in credits."""
    made = PriceList.objects.create(flat_ucr=to_ucr(Decimal(flat)), note=note)
    for model, amount in (flats or {}).items():
        ModelPrice.objects.create(
            price_list=made, model=model, mode="flat", flat_ucr=to_ucr(Decimal(amount))
        )
    for model, (factor, floor) in (metered or {}).items():
        ModelPrice.objects.create(
            price_list=made,
            model=model,
            mode="metered",
            factor=Decimal(factor),
            floor_ucr=to_ucr(Decimal(floor)),
        )
    for group, share in (groups or {}).items():
        GroupPrice.objects.create(
            price_list=made, group=group, group_name=group.name, multiplier=Decimal(share)
        )
    return made
