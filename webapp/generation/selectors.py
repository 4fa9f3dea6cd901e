"""The one door to a private image, `get_owned_image`."""

import uuid
from datetime import timedelta

from django.db.models import Q
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from webapp.accounts.models import User
from webapp.core.errors import NotFound
from webapp.generation.models import Image

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
