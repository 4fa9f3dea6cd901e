"""What an image was made with, as the fields of the form: to be shown, or asked for again."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from webapp.accounts.models import User
from webapp.catalog.pricing import Prices, read_prices
from webapp.generation.models import Generation, Image
from webapp.generation.request.spec import form_values, spec_of
from webapp.generation.selectors import get_owned_image


def request_again(owner: User, data: Mapping[str, Any]) -> dict[str, Any]:
    """The form of the owner's image that `again` names, once and with its own seed, where `data`
    asks for no others. Raises NotFound for an image that is not theirs."""
    image = get_owned_image(owner=owner, image_id=data["again"])
    asked = {**image_values(image), "model": image.generation.model.slug, "count": 1}
    # A variation: the same request with other seeds, and more of them.
    return asked | {name: data[name] for name in ("seed", "count", "exact") if data.get(name)}


def price_again(*, owner: User, generation: Generation, prices: Prices | None = None) -> int | None:
    """What one more image of that request costs its owner now; None where there is no price.
    `prices` saves reading them for each of many."""
    prices = prices or read_prices(user=owner)
    if prices.problem:
        return None
    size = {"width_px": generation.width_px, "height_px": generation.height_px}
    return prices.quote(model=generation.model, steps=generation.steps, **size).price_each_ucr


def image_values(image: Image) -> dict[str, str]:
    """The fields of the form that made this image, its own seed among them."""
    return form_values(replace(spec_of(image.generation), seed=image.seed))
