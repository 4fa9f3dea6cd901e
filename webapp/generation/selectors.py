"""Reading generations and images; the one door to a private picture is `get_owned_image`."""

import uuid
from datetime import timedelta

from django.db.models import Prefetch, Q, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from webapp.accounts.models import User
from webapp.core.errors import NotFound
from webapp.generation.models import Generation, Image

BIN_DAYS = 30


def get_owned_image(*, owner: User, image_id: uuid.UUID) -> Image:
    """The owner's image with its generation and model; raises NotFound to anybody else, and to
    everybody once its days in the bin are over."""
    image = (
        Image.objects.select_related("generation__model", "model")
        .filter(Q(binned_at=None) | Q(binned_at__gt=bin_kept_since()), owner=owner, pk=image_id)
        .first()
    )
    if image is None:
        raise NotFound
    return image


def bin_kept_since() -> CombinedExpression:
    """What went into the bin before this is gone, whether or not it was swept by now."""
    return Now() - timedelta(days=BIN_DAYS)


def list_feed(*, owner: User) -> QuerySet[Generation]:
    """The owner's generations, newest first, each with its images in order."""
    images = Image.objects.order_by("index")
    return (
        Generation.objects.filter(owner=owner)
        .select_related("model")
        .prefetch_related(Prefetch("images", queryset=images))
        .order_by("-created_at", "-pk")
    )


def list_images(*, owner: User, ids: list[uuid.UUID]) -> QuerySet[Image]:
    """Those of the ids that are the owner's."""
    return Image.objects.filter(owner=owner, pk__in=ids)


def list_live_images(*, owner: User) -> QuerySet[Image]:
    """The owner's images that are queued or running."""
    return Image.objects.filter(owner=owner, state__in=Image.LIVE)
