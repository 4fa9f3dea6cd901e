"""The images before and after one, in the order of the gallery."""

from dataclasses import dataclass

from django.db.models import Q, QuerySet

from webapp.generation.models import Image


@dataclass(frozen=True, slots=True)
class Neighbours:
    """None at either end of the gallery."""

    newer: Image | None
    older: Image | None


def get_neighbours(image: Image) -> Neighbours:
    """The owner's stored images next to this one; none for an image that is not stored, or
    in the bin."""
    if image.state != Image.State.STORED or image.binned_at:
        return Neighbours(None, None)
    same_time = Q(finished_at=image.finished_at)
    newer = Q(finished_at__gt=image.finished_at) | (same_time & Q(pk__gt=image.pk))
    older = Q(finished_at__lt=image.finished_at) | (same_time & Q(pk__lt=image.pk))
    return Neighbours(
        newer=_stored(image).filter(newer).order_by("finished_at", "pk").first(),
        older=_stored(image).filter(older).order_by("-finished_at", "-pk").first(),
    )


def _stored(image: Image) -> QuerySet[Image]:
    shown = Image.objects.filter(state=Image.State.STORED, binned_at=None)
    return shown.filter(owner_id=image.owner_id).only("pk")
