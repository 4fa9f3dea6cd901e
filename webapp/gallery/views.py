"""The doors of the gallery: the wall of pictures, one picture, and its deletion."""

import uuid
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from webapp.accounts.requests import SignedInRequest
from webapp.catalog.samplers import SAMPLER_NAMES
from webapp.credits.models import Hold
from webapp.credits.selectors import get_hold
from webapp.gallery.media import download_name
from webapp.gallery.neighbours import get_neighbours
from webapp.gallery.selectors import count_gallery, list_gallery_page
from webapp.generation import services
from webapp.generation.models import Image
from webapp.generation.selectors import get_owned_image


@dataclass(frozen=True, slots=True)
class Day:
    """The pictures that were finished on one day."""

    date: date
    images: list[Image]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a picture cost in credits and in seconds; None where it has not happened."""

    held_ucr: int
    charged_ucr: int
    is_held: bool
    waited_s: float | None
    drawn_s: float | None


@never_cache
@login_required
@require_GET
def gallery(request: SignedInRequest) -> HttpResponse:
    """The owner's pictures by day, 60 at a time; `?cursor=` goes on where a page ended."""
    page = list_gallery_page(owner=request.user, cursor=request.GET.get("cursor", ""))
    context = {
        "days": _by_day(page.images),
        "next_cursor": page.next_cursor,
        "total": count_gallery(owner=request.user),
    }
    return render(request, "gallery/gallery.html", context)


@never_cache
@login_required
@require_GET
def image(request: SignedInRequest, image_id: uuid.UUID) -> HttpResponse:
    """One picture with everything that made it, and its receipt."""
    found = get_owned_image(owner=request.user, image_id=image_id)
    context = {
        "image": found,
        "generation": found.generation,
        "sampler": SAMPLER_NAMES.get(found.generation.sampler, found.generation.sampler),
        "receipt": _receipt(found),
        "neighbours": get_neighbours(found),
        "download_name": download_name(found),
    }
    return render(request, "gallery/image.html", context)


@login_required
@require_POST
def delete_image(request: SignedInRequest, image_id: uuid.UUID) -> HttpResponse:
    """Deletes the picture and goes back to the gallery."""
    services.delete_image(owner=request.user, image_id=image_id)
    messages.success(request, _("The picture is deleted."))
    return redirect("gallery")


def _by_day(images: list[Image]) -> list[Day]:
    grouped = groupby(images, key=lambda one: timezone.localdate(one.finished_at))
    return [Day(day, list(of_day)) for day, of_day in grouped]


def _receipt(found: Image) -> Receipt:
    hold = get_hold(image_id=found.pk)
    amount_ucr = hold.amount_ucr if hold else 0
    state = hold.state if hold else Hold.State.RELEASED
    return Receipt(
        held_ucr=amount_ucr,
        charged_ucr=amount_ucr if state == Hold.State.CAPTURED else 0,
        is_held=state == Hold.State.HELD,
        waited_s=_between_s(found.created_at, found.started_at),
        drawn_s=_between_s(found.started_at, found.finished_at),
    )


def _between_s(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None
