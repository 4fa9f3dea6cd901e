"""What an image costs. Quoted and rounded once, at submission; the quote is stored with it.

The newest `PriceList` is in force; before there is one, every image costs
`DARKROOM_PRICE_PER_IMAGE`. A price is flat, or metered by the curve that DreamStudio used:

    max(floor, (width * height - 169527) * steps / 30 * factor)        in credits

times the share that the person's group pays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel, ModelPrice
from webapp.core.errors import InvalidInput
from webapp.core.units import UCR_PER_CREDIT, to_ucr

# The curve is calibrated at 30 steps, and crosses zero at about 412 x 412 pixels.
FREE_PIXELS = 169_527
USUAL_STEPS = 30
METERED_UNIT_UCR = UCR_PER_CREDIT // 100
WHOLE_PRICE = Decimal(1)

# By hand: every submission asks, and building the query took most of the time.
IN_FORCE_SQL = """
SELECT list.id, list.created_at, list.flat_ucr, mine.multiplier,
    (SELECT name FROM accounts_usergroup WHERE id = %(group)s),
    own.model_id, own.mode, own.flat_ucr, own.factor, own.floor_ucr
FROM catalog_pricelist list
LEFT JOIN catalog_groupprice mine ON mine.price_list_id = list.id AND mine.group_id = %(group)s
LEFT JOIN catalog_modelprice own ON own.price_list_id = list.id
WHERE list.id = (SELECT MAX(id) FROM catalog_pricelist)
"""


@dataclass(frozen=True, slots=True)
class Quote:
    """What one image costs, and how that came about.

    `terms` is JSON: `mode` ("flat" or "metered"), `flat_ucr` or `factor` and `floor_ucr`,
    `multiplier` (a decimal string), `group` ("" for nobody's), `width_px`, `height_px`, `steps`.
    """

    price_each_ucr: int
    price_list_id: int | None
    terms: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Terms:
    """How one model is priced: flat (`flat_ucr`), or metered (`factor` and `floor_ucr`)."""

    mode: str
    flat_ucr: int | None = None
    factor: Decimal | None = None
    floor_ucr: int | None = None

    @property
    def is_metered(self) -> bool:
        """True if size and steps matter."""
        return self.mode == ModelPrice.Mode.METERED

    def price_ucr(
        self, *, width_px: int, height_px: int, steps: int, multiplier: Decimal = WHOLE_PRICE
    ) -> int:
        """Micro-credits for one image, rounded half up: to a hundredth of a credit if it is
        metered, to a micro-credit if it is flat, or if a hundredth would make it 0. Only what the
        list or the group's share says is free costs 0."""
        if self.factor is None or self.floor_ucr is None:
            return _round(Decimal(self.flat_ucr or 0) * multiplier, unit_ucr=1)
        area = width_px * height_px - FREE_PIXELS
        curve_ucr = area * steps * self.factor * UCR_PER_CREDIT / USUAL_STEPS
        metered_ucr = max(Decimal(self.floor_ucr), curve_ucr)
        return _round(metered_ucr * multiplier, unit_ucr=METERED_UNIT_UCR)

    def as_dict(self) -> dict[str, Any]:
        """As JSON, without what this mode does not have."""
        if self.factor is None:
            return {"mode": self.mode, "flat_ucr": self.flat_ucr}
        return {"mode": self.mode, "factor": plain(self.factor), "floor_ucr": self.floor_ucr}


@dataclass(frozen=True, slots=True)
class Prices:
    """The list in force as one person reads it; `multiplier` None: their group has no price."""

    list_id: int | None
    since: datetime | None
    flat_ucr: int
    multiplier: Decimal | None = WHOLE_PRICE
    group: str = ""
    models: Mapping[int, Terms] = field(default_factory=dict)

    @property
    def problem(self) -> str:
        """The sentence for somebody whose group was given no price; "" for all others."""
        if self.multiplier is not None:
            return ""
        return _("Your group “%(group)s” has no price yet: an administrator must give it one.") % {
            "group": self.group
        }

    @property
    def share(self) -> str:
        """The multiplier as it is written; "" if there is none."""
        return "" if self.multiplier is None else plain(self.multiplier)

    @property
    def flat_each_ucr(self) -> int | None:
        """What an image of a model without a price of its own costs; None if there is a
        `problem`."""
        if self.multiplier is None:
            return None
        return _round(self.flat_ucr * self.multiplier, unit_ucr=1)

    def terms_of(self, model: DiffusionModel) -> Terms:
        """The model's own price, or the list's flat one."""
        flat = Terms(ModelPrice.Mode.FLAT, flat_ucr=self.flat_ucr)
        return self.models.get(model.pk, flat)

    def quote(self, *, model: DiffusionModel, width_px: int, height_px: int, steps: int) -> Quote:
        """The price of one image; raises InvalidInput for a group without a price."""
        if self.multiplier is None:
            raise InvalidInput(self.problem, field="model")
        terms = self.terms_of(model)
        size = {"width_px": width_px, "height_px": height_px, "steps": steps}
        return Quote(
            price_each_ucr=terms.price_ucr(**size, multiplier=self.multiplier),
            price_list_id=self.list_id,
            terms={
                **terms.as_dict(),
                "multiplier": plain(self.multiplier),
                "group": self.group,
                **size,
            },
        )


def quote_image(
    *, user: User, model: DiffusionModel, width_px: int, height_px: int, steps: int
) -> Quote:
    """What one image costs this user now, by the list in force.

    Raises InvalidInput if the user's group has no price in it.
    """
    prices = read_prices(user=user)
    return prices.quote(model=model, width_px=width_px, height_px=height_px, steps=steps)


def read_prices(*, user: User) -> Prices:
    """The list in force for this user, in one query: every submission asks it."""
    with connection.cursor() as cursor:
        cursor.execute(IN_FORCE_SQL, {"group": user.group_id})
        rows = cursor.fetchall()
    prices = Prices(None, None, price_before_any_list_ucr(), WHOLE_PRICE)
    models: dict[int, Terms] = {}
    for list_id, since, flat_ucr, multiplier, group, model_id, *terms in rows:
        prices = Prices(list_id, since, flat_ucr, multiplier, group or "", models)
        if model_id is not None:
            models[model_id] = Terms(*terms)
    if user.group_id is None:
        return replace(prices, multiplier=WHOLE_PRICE)
    return prices


def price_before_any_list_ucr() -> int:
    """What every image costs as long as no price list was made."""
    return to_ucr(settings.PRICE_PER_IMAGE)


def plain(number: Decimal) -> str:
    """The number without an exponent and without trailing zeros: 0.00000216."""
    return f"{number.normalize():f}"


def _round(amount_ucr: Decimal, *, unit_ucr: int) -> int:
    """To whole units; what would be 0 of them without being free: to micro-credits, at least 1."""
    rounded_ucr = int((amount_ucr / unit_ucr).quantize(Decimal(1), ROUND_HALF_UP)) * unit_ucr
    if rounded_ucr or amount_ucr <= 0:
        return rounded_ucr
    return max(1, int(amount_ucr.quantize(Decimal(1), ROUND_HALF_UP)))
