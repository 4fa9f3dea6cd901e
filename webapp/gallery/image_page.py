"""The page of one image: how it developed, what made it, and what it came from."""

import uuid
from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from webapp.accounts.requests import SignedInRequest
from webapp.catalog.samplers import sampler_label
from webapp.core.methods import require_GET
from webapp.gallery.development import read_strip
from webapp.gallery.enlargement import read_enlargement
from webapp.gallery.image_actions import read_actions
from webapp.gallery.media import download_name
from webapp.gallery.neighbours import get_neighbours
from webapp.generation.models import Image
from webapp.generation.repeating import price_again
from webapp.generation.selectors import get_owned_image
from webapp.generation.styles import style_name
from webapp.statements.receipt import read_receipt

VARIATIONS = 4
RELATIVES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where an image stands among the owner's others; each list is in the order of drawing and
    holds twelve at most. `parent` is None if it was deleted, or if there never was one."""

    parent: Image | None
    siblings: list[Image]
    children: list[Image]

    @property
    def parents(self) -> list[Image]:
        """The parent alone, or nothing."""
        return [self.parent] if self.parent else []


@never_cache
@login_required
@require_GET
def image(request: SignedInRequest, image_id: uuid.UUID) -> HttpResponse:
    """One image with everything that made it, and its receipt."""
    found = get_owned_image(owner=request.user, image_id=image_id)
    context = {
        "image": found,
        "generation": found.generation,
        "sampler": sampler_label(found.generation.sampler),
        "receipt": read_receipt(image=found),
        "neighbours": get_neighbours(found),
        "download_name": download_name(found),
        "strip": read_strip(found),
        "lineage": read_lineage(found),
        "actions": read_actions(owner=request.user, image=found),
        "fingerprint": [(name, value) for name, value in found.fingerprint.items() if value],
        "style": style_name(found.generation.style, model=found.generation.model),
        "enlargement": read_enlargement(owner=request.user, image=found),
        "enlarge_key": uuid.uuid4(),
        "variations": VARIATIONS,
        "variations_key": uuid.uuid4(),
        "again_key": uuid.uuid4(),
        "again_ucr": price_again(owner=request.user, generation=found.generation),
    }
    return render(request, "gallery/image.html", context)


def read_lineage(found: Image) -> Lineage:
    """What the owner's image was made from, what came of it, and what was drawn with it."""
    parent_id = found.generation.parent_id
    siblings = _shown(found).filter(generation_id=found.generation_id).exclude(pk=found.pk)
    children = _shown(found).filter(generation__parent=found)
    return Lineage(
        parent=_shown(found).filter(pk=parent_id).first() if parent_id else None,
        siblings=list(siblings.order_by("index")[:RELATIVES_SHOWN]),
        children=list(children.order_by("finished_at", "pk")[:RELATIVES_SHOWN]),
    )


def _shown(found: Image) -> QuerySet[Image]:
    """Images of the same owner that have something to show."""
    stored = Image.objects.filter(
        owner_id=found.owner_id, state=Image.State.STORED, binned_at__isnull=True
    )
    return stored.select_related("generation")
