"""The doors of shared links: making and revoking them, and the page that strangers see."""

import uuid
from typing import TypeVar

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from webapp.accounts.requests import SignedInRequest
from webapp.core.methods import require_GET, require_POST
from webapp.core.middleware import wants_json
from webapp.gallery.bulk_views import answer
from webapp.gallery.downloads import encode
from webapp.gallery.sharing import get_shared, revoke_share, share_image
from webapp.generation.private_files import private_bytes, private_image

Response = TypeVar("Response", bound=HttpResponseBase)


@login_required
@require_POST
def share(request: SignedInRequest, image_id: uuid.UUID) -> HttpResponse:
    """Makes the link, and shows it this once; `prompt=1` lets it show the prompt too."""
    shows_prompt = request.POST.get("prompt") == "1"
    token = share_image(owner=request.user, image_id=image_id, shows_prompt=shows_prompt)
    link = request.build_absolute_uri(reverse("shared", kwargs={"token": token}))
    if wants_json(request):
        return JsonResponse({"link": link, "shows_prompt": shows_prompt}, status=201)
    sentence = _("Copy the link now, it is shown only this once: %(link)s")
    messages.success(request, sentence % {"link": link})
    return redirect("image", image_id)


@login_required
@require_POST
def revoke(request: SignedInRequest, image_id: uuid.UUID) -> HttpResponse:
    """Revokes the link; says so, or that there was none."""
    was_shared = revoke_share(owner=request.user, image_id=image_id)
    sentence = _("The link is revoked.") if was_shared else _("There was no link.")
    return answer(request, sentence, back=reverse("image", kwargs={"image_id": image_id}))


@require_GET
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """The image for whoever has the link, and its prompt if the owner wanted that."""
    found = get_shared(token=token)
    context = {
        "token": token,
        "generation": found.image.generation,
        "prompt": found.image.generation.prompt if found.shows_prompt else "",
    }
    return _unlisted(render(request, "gallery/shared.html", context))


@require_GET
def shared_file(request: HttpRequest, token: str) -> HttpResponseBase:
    """The image itself, PNG; what made it is inside only if the prompt is shown."""
    found = get_shared(token=token)
    if found.shows_prompt:
        return _unlisted(private_image(request, found.image.file, content_type="image/png"))
    body, form = encode(
        found.image, name="png", with_metadata=False, asker=f"link {found.image.pk}"
    )
    return _unlisted(private_bytes(body, content_type=form.content_type))


def _unlisted(response: Response) -> Response:
    """Kept by nobody, found by no search engine, and the address told to no other site."""
    response["Cache-Control"] = "private, no-store"
    response["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response["Referrer-Policy"] = "no-referrer"
    return response
