"""The page "How an image is generated", and the two sheets of frames on it."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from webapp.accounts.requests import SignedInRequest
from webapp.core.errors import NotFound
from webapp.core.ids import find_id
from webapp.core.methods import require_GET
from webapp.gallery.development_page import (
    choose_subject,
    draw_curve,
    draw_noising,
    place_dots,
    sample_strip,
)
from webapp.generation.models import Image
from webapp.generation.private_files import private_bytes
from webapp.generation.selectors import get_owned_image


@never_cache
@login_required
@require_GET
def development(request: SignedInRequest) -> HttpResponse:
    """About the visitor's newest image, `?image=<id>`, or the sample if they have none whose
    run and schedule are known."""
    asked = _asked_image(request)
    subject = choose_subject(owner=request.user, asked=asked)
    context = {
        "subject": subject,
        "strip": subject.strip,
        "is_another": asked is not None and subject.image is None,
        "curve": draw_curve(subject.schedule),
        "dots": place_dots(subject.schedule, subject.levels),
    }
    return render(request, "gallery/development.html", context)


@login_required
@require_GET
def development_noising(request: SignedInRequest) -> HttpResponse:
    """The forward process of that image: its frames as the strip's, WebP."""
    subject = choose_subject(owner=request.user, asked=_asked_image(request))
    return private_bytes(draw_noising(subject), content_type="image/webp")


@login_required
@require_GET
def development_strip(_request: SignedInRequest) -> HttpResponse:
    """The sample's strip, WebP."""
    return private_bytes(sample_strip(), content_type="image/webp")


def _asked_image(request: SignedInRequest) -> Image | None:
    asked = request.GET.get("image")
    if not asked:
        return None
    image_id = find_id(asked)
    if image_id is None:
        raise NotFound
    return get_owned_image(owner=request.user, image_id=image_id)
