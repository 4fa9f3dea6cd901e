"""The page of one image, and its deletion."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from webapp.accounts.requests import SignedInRequest
from webapp.core.methods import require_GET, require_POST
from webapp.gallery.development import read_strip
from webapp.gallery.downloads import download_name
from webapp.gallery.image_page import get_neighbours, read_actions, read_enlargement, read_lineage
from webapp.gallery.made_with import read_facts
from webapp.generation.live.feed import price_again
from webapp.generation.queueing import services
from webapp.generation.selectors import get_owned_image
from webapp.statements.receipt import read_receipt

VARIATIONS = 4


@never_cache
@login_required
@require_GET
def image(request: SignedInRequest, image_id: uuid.UUID) -> HttpResponse:
    """One image with everything that made it, and its receipt."""
    found = get_owned_image(owner=request.user, image_id=image_id)
    context = {
        "image": found,
        "generation": found.generation,
        "facts": read_facts(found),
        "receipt": read_receipt(image=found),
        "neighbours": get_neighbours(found),
        "download_name": download_name(found),
        "strip": read_strip(found),
        "lineage": read_lineage(found),
        "actions": read_actions(owner=request.user, image=found),
        "fingerprint": [(name, value) for name, value in found.fingerprint.items() if value],
        "enlargement": read_enlargement(owner=request.user, image=found),
        "enlarge_key": uuid.uuid4(),
        "variations": VARIATIONS,
        "variations_key": uuid.uuid4(),
        "again_key": uuid.uuid4(),
        "again_ucr": price_again(owner=request.user, generation=found.generation),
    }
    return render(request, "gallery/image.html", context)


@login_required
@require_POST
def delete_image(request: SignedInRequest, image_id: uuid.UUID) -> HttpResponse:
    """Deletes the image and goes back to the gallery."""
    services.delete_image(owner=request.user, image_id=image_id)
    messages.success(request, _("The image is deleted."))
    return redirect("gallery")
