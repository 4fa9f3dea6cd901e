"""What an administrator looks through once, after the first sign-in: hardware, models, credits,
who may come, and the first image."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings

from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.catalog.pricing import Prices, read_prices
from webapp.catalog.selectors import list_offered_models
from webapp.generation.models import Image
from webapp.generation.queueing.heartbeat import list_workers


@dataclass(frozen=True, slots=True)
class Welcome:
    """The studio as it stands; every part of it may be changed later."""

    workers: list[dict[str, Any]]
    models: list[DiffusionModel]
    known_models: int
    prices: Prices
    starting_credits: Decimal
    signup: str
    has_mail: bool
    has_images: bool


def describe_studio(*, admin: User) -> Welcome:
    """Workers, models, prices and settings, as they are now."""
    return Welcome(
        workers=list_workers(),
        models=list(list_offered_models(user=admin)),
        known_models=DiffusionModel.objects.filter(enabled=False).count(),
        prices=read_prices(user=admin),
        starting_credits=settings.STARTING_CREDITS,
        signup=settings.SIGNUP,
        has_mail=bool(settings.EMAIL_HOST),
        has_images=Image.objects.filter(owner=admin).exists(),
    )
