"""Whether an image can be drawn at twice its size, how large that is, and what it costs."""

from dataclasses import dataclass

from webapp.accounts.models import User
from webapp.catalog.pricing import read_prices
from webapp.core.errors import InvalidInput
from webapp.generation.models import Image
from webapp.generation.modes import DEFAULT_STRENGTH, Mode, check_steps_left, enlarged_size


@dataclass(frozen=True, slots=True)
class Enlargement:
    """What the button says; `problem` is the sentence that stands in its place if there can be
    none, and `price_ucr` None if there is no price."""

    width_px: int = 0
    height_px: int = 0
    price_ucr: int | None = None
    problem: str = ""


def read_enlargement(*, owner: User, image: Image) -> Enlargement | None:
    """The image at twice its size; None if there is no image."""
    if image.state != Image.State.STORED:
        return None
    asked, model = image.generation, image.generation.model
    try:
        check_steps_left(steps=asked.steps, strength=DEFAULT_STRENGTH[Mode.UPSCALE])
        size = enlarged_size(model, width_px=asked.width_px, height_px=asked.height_px)
    except InvalidInput as refused:
        return Enlargement(problem=refused.sentence)
    prices = read_prices(user=owner)
    if prices.problem:
        return Enlargement(*size)
    quote = prices.quote(model=model, width_px=size[0], height_px=size[1], steps=asked.steps)
    return Enlargement(*size, quote.price_each_ucr)
