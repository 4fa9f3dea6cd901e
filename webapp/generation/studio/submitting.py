"""What the studio's forms ask for, submitted: as it was typed, as an image was made, or that image
at twice its size (drawn over once more, so that little but detail changes).

The checks are `checks.parse_spec`'s and `services.submit_generation`'s.
"""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.catalog.pricing import read_prices
from webapp.catalog.selectors import get_offered_model
from webapp.core.digits import read_whole
from webapp.core.errors import InvalidInput
from webapp.core.ids import read_optional_id
from webapp.generation.models import Generation, Image, Upload
from webapp.generation.queueing import services
from webapp.generation.request.checks import enlarged_size, parse_enlargement, parse_spec
from webapp.generation.request.spec import image_values
from webapp.generation.request.uploads import create_upload_from_image
from webapp.generation.selectors import get_owned_image

MAX_PRICE_DIGITS = 18


def submit_form(*, owner: User, data: Mapping[str, Any]) -> Generation:
    """The generation that the form asks for; `again` names an image whose request to repeat, with
    its own seed and once, if `seed` and `count` don't ask for others; `exact` draws it alone.

    `quoted_each_ucr` is the price that the page showed for one image; without it nothing is spent.

    Raises InvalidInput for a model that is not on offer, a price that was not shown and what
    `parse_spec` refuses, NotFound for an `again` or `parent` that is not the owner's, and what
    `services.submit_generation` raises.
    """
    asked = _request_again(owner, data) if data.get("again") else data
    model = get_offered_model(slug=str(asked.get("model", "")), user=owner)
    if asked.get("mode") == Generation.Mode.UPSCALE:
        asked = _complete_enlargement(asked, owner=owner, model=model)
    spec = parse_spec(asked, model=model)
    return services.submit_generation(
        owner=owner,
        model=model,
        spec=spec,
        idempotency_key=str(data.get("idempotency_key", "")),
        quoted_each_ucr=shown_price(data, owner=owner),
    )


def shown_price(data: Mapping[str, Any], *, owner: User) -> int:
    """The price of one image that the page showed, in micro-credits. Raises InvalidInput if it
    showed none: nobody spends what they were not told, and for a group without a price says that
    instead."""
    shown = str(data.get("quoted_each_ucr") or "")
    if not shown:
        unpriced = _("No price was shown for this. Reload the page and look at the price first.")
        sentence = read_prices(user=owner).problem or unpriced
        raise InvalidInput(sentence, field="quoted_each_ucr")
    try:
        price_ucr = read_whole(shown)
    except ValueError:
        price_ucr = -1
    if not 0 <= price_ucr < 10**MAX_PRICE_DIGITS:
        sentence = _("The form's price must be whole micro-credits. Reload the page.")
        raise InvalidInput(sentence, field="quoted_each_ucr")
    return price_ucr


def enlarge_image(
    *, owner: User, image: Image, idempotency_key: str, quoted_each_ucr: int | None = None
) -> Generation:
    """The queued generation that draws the owner's image at twice its size, with everything that
    it was made with.

    Raises InvalidInput if its model can't draw that size or is not on offer any more, and what
    `create_upload_from_image` and `submit_generation` raise.
    """
    model = get_offered_model(slug=image.generation.model.slug, user=owner)
    parse_enlargement(image, model=model, start=image)
    start = create_upload_from_image(owner=owner, image=image)
    return services.submit_generation(
        owner=owner,
        model=model,
        spec=parse_enlargement(image, model=model, start=start),
        idempotency_key=idempotency_key,
        quoted_each_ucr=quoted_each_ucr,
    )


def _request_again(owner: User, data: Mapping[str, Any]) -> dict[str, Any]:
    """The form of the owner's image that `again` names, once and with its own seed, if `data`
    asks for no others. Raises NotFound for an image that is not theirs."""
    image = get_owned_image(owner=owner, image_id=data["again"])
    asked = {**image_values(image), "model": image.generation.model.slug, "count": 1}
    # A variation: the same request with other seeds, and more of them.
    return asked | {name: data[name] for name in ("seed", "count", "exact") if data.get(name)}


def _complete_enlargement(
    asked: Mapping[str, Any], *, owner: User, model: DiffusionModel
) -> dict[str, Any]:
    """The form with what follows from its images, if it does not say so itself: the size from
    the start image, the words from the parent. Raises InvalidInput for a size that the model
    can't draw and NotFound for a parent that is not the owner's."""
    completed = dict(asked)
    start_id = read_optional_id(asked.get("start"), field="start")
    start = Upload.objects.filter(owner=owner, pk=start_id).first() if start_id else None
    if start is not None:
        size = enlarged_size(model, width_px=start.width_px, height_px=start.height_px)
        for name, side_px in zip(("width", "height"), size, strict=True):
            completed[name] = asked.get(name) or side_px
    parent_id = read_optional_id(asked.get("parent"), field="parent")
    if parent_id and not str(asked.get("prompt") or "").strip():
        parent = get_owned_image(owner=owner, image_id=parent_id)
        completed["prompt"] = parent.generation.prompt
    return completed
