"""The doors of collections: the list of them, and what is done to one."""

import uuid

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from webapp.accounts.requests import SignedInRequest
from webapp.core.errors import DarkroomError
from webapp.core.methods import require_http_methods, require_POST
from webapp.core.middleware import wants_json
from webapp.gallery import bulk
from webapp.gallery import collections as services
from webapp.gallery.bulk_views import answer
from webapp.gallery.models import Collection
from webapp.gallery.selection import read_selection, select_images
from webapp.gallery.strings import gallery_strings


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def collections(request: SignedInRequest) -> HttpResponse:
    """The owner's collections; a POST makes one, with the selection in it if there is one.
    A plain form whose name is refused gets the page again, with the sentence."""
    if request.method == "GET":
        return _page(request)
    try:
        made = _make(request)
    except DarkroomError as error:
        if wants_json(request):
            raise
        return _page(request, error)
    sentence = _("The collection %(name)s was created.") % {"name": made.name}
    facts = {"id": str(made.pk), "name": made.name}
    return answer(request, sentence, back=_address(made.pk), **facts)


@login_required
@require_POST
def rename_collection(request: SignedInRequest, collection_id: uuid.UUID) -> HttpResponse:
    """Gives the collection the form's `name`."""
    name = request.POST.get("name", "")
    services.rename_collection(owner=request.user, collection_id=collection_id, name=name)
    return answer(request, _("The collection was renamed."), back=_address(collection_id))


@login_required
@require_POST
def delete_collection(request: SignedInRequest, collection_id: uuid.UUID) -> HttpResponse:
    """Deletes the collection; its images stay."""
    services.delete_collection(owner=request.user, collection_id=collection_id)
    sentence = _("The collection is deleted. Its images are still in the gallery.")
    return answer(request, sentence, back="collections")


def _make(request: SignedInRequest) -> Collection:
    """One commit: if the images cannot be added, no collection is made."""
    with transaction.atomic():
        made = services.create_collection(owner=request.user, name=request.POST.get("name", ""))
        if request.POST.get("image") or request.POST.get("all"):
            images = select_images(owner=request.user, selection=read_selection(request.POST))
            bulk.add_to_collection(owner=request.user, collection_id=made.pk, images=images)
    return made


def _page(request: SignedInRequest, error: DarkroomError | None = None) -> HttpResponse:
    context = {
        "shelves": services.list_shelves(owner=request.user),
        "error": error,
        "name": request.POST.get("name", ""),
        "strings": gallery_strings(),
    }
    status = error.status if error else 200
    return render(request, "gallery/collections.html", context, status=status)


def _address(collection_id: uuid.UUID) -> str:
    return f"{reverse('gallery')}?in={collection_id}"
