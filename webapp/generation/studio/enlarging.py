"""The same picture at twice its size: drawn over once more, so that little but detail changes."""

from collections.abc import Mapping
from typing import Any

from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.catalog.selectors import get_offered_model
from webapp.core.ids import read_optional_id
from webapp.generation.models import Generation, Image, Upload
from webapp.generation.queueing import services
from webapp.generation.request.asking import parse_spec
from webapp.generation.request.modes import enlarged_size
from webapp.generation.request.repeating import image_values
from webapp.generation.request.uploads import create_upload_from_image
from webapp.generation.selectors import get_owned_image


def enlarge_image(
    *, owner: User, image: Image, idempotency_key: str, quoted_each_ucr: int | None = None
) -> Generation:
    """The queued generation that draws the owner's image at twice its size, with everything that
    it was made with.

    Raises InvalidInput where its model can't draw that size or is not on offer any more, and what
    `create_upload_from_image` and `submit_generation` raise.
    """
    made_with = image.generation
    model = get_offered_model(slug=made_with.model.slug, user=owner)
    enlarged_size(model, width_px=made_with.width_px, height_px=made_with.height_px)
    start = create_upload_from_image(owner=owner, image=image)
    width_px, height_px = enlarged_size(model, width_px=start.width_px, height_px=start.height_px)
    asked = image_values(image) | {
        "mode": Generation.Mode.UPSCALE,
        "start": start.pk,
        "mask": "",
        "strength": "",
        "parent": image.pk,
        "width": width_px,
        "height": height_px,
        "count": 1,
    }
    return services.submit_generation(
        owner=owner,
        model=model,
        spec=parse_spec(asked, model=model),
        idempotency_key=idempotency_key,
        quoted_each_ucr=quoted_each_ucr,
    )


def complete_enlargement(
    asked: Mapping[str, Any], *, owner: User, model: DiffusionModel
) -> dict[str, Any]:
    """The form with what follows from its pictures, where it does not say so itself: the size from
    the start picture, the words from the parent. Raises InvalidInput for a size that the model
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
