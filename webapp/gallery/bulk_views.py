"""The doors of what is done to many images: read the selection, call one service, answer.

Scripts get JSON with a sentence to show; plain forms get the sentence on the page they came from.
"""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webapp.accounts.requests import SignedInRequest
from webapp.core.digits import read_moment
from webapp.core.errors import InvalidInput
from webapp.core.methods import require_POST
from webapp.core.middleware import wants_json
from webapp.core.texts import read_choice
from webapp.gallery import bulk
from webapp.gallery.filters import read_filter
from webapp.gallery.selection import read_selection, select_images
from webapp.generation.models import Image


@login_required
@require_POST
def mark_favourites(request: SignedInRequest) -> HttpResponse:
    """Marks the selection as favourites (`on=1`), or takes the mark back (`on=0`). Raises
    InvalidInput for another `on`, or a selection that cannot be read."""
    wanted = read_choice(request.POST.get("on", ""), field="on", allowed=["0", "1"])
    changed = bulk.mark_favourites(images=_selected(request), is_favourite=wanted == "1")
    if wanted == "1":
        sentence = ngettext("%(n)d new favourite.", "%(n)d new favourites.", changed)
    else:
        sentence = ngettext(
            "%(n)d image is no longer a favourite.",
            "%(n)d images are no longer favourites.",
            changed,
        )
    return _answer(request, sentence % {"n": changed}, changed=changed)


@login_required
@require_POST
def bin_images(request: SignedInRequest) -> HttpResponse:
    """Puts the selection into the bin; `at` of the answer undoes it."""
    binned = bulk.bin_images(images=_selected(request))
    sentence = ngettext("%(n)d image is in the bin.", "%(n)d images are in the bin.", binned.images)
    facts = {"changed": binned.images, "at": binned.at.isoformat()}
    return _answer(request, sentence % {"n": binned.images}, **facts)


@login_required
@require_POST
def undo_binning(request: SignedInRequest) -> HttpResponse:
    """Takes out again what one act put into the bin at the moment `at`. Raises InvalidInput if `at`
    is none."""
    try:
        at = read_moment(request.POST.get("at", ""))
    except ValueError as error:
        sentence = _("There is nothing to undo here. Check the bin.")
        raise InvalidInput(sentence, field="at") from error
    return _restored(request, bulk.undo_binning(owner=request.user, at=at))


@login_required
@require_POST
def restore_images(request: SignedInRequest) -> HttpResponse:
    """Takes the selection out of the bin."""
    return _restored(request, bulk.restore_images(images=_selected(request)))


@login_required
@require_POST
def delete_binned(request: SignedInRequest) -> HttpResponse:
    """Deletes for good what of the selection is in the bin."""
    deleted = bulk.delete_binned(images=_selected(request))
    sentence = ngettext(
        "%(n)d image is deleted for good.", "%(n)d images are deleted for good.", deleted
    )
    return _answer(request, sentence % {"n": deleted}, changed=deleted)


@login_required
@require_POST
def collect_images(request: SignedInRequest) -> HttpResponse:
    """Puts the selection into a collection."""
    added = bulk.add_to_collection(
        owner=request.user, collection_id=_collection_id(request), images=_selected(request)
    )
    sentence = ngettext(
        "%(n)d image was added to the collection.",
        "%(n)d images were added to the collection.",
        added,
    )
    return _answer(request, sentence % {"n": added}, changed=added)


@login_required
@require_POST
def uncollect_images(request: SignedInRequest) -> HttpResponse:
    """Takes the selection out of a collection; the images stay in the gallery."""
    removed = bulk.remove_from_collection(
        owner=request.user, collection_id=_collection_id(request), images=_selected(request)
    )
    sentence = ngettext(
        "%(n)d image was removed from the collection.",
        "%(n)d images were removed from the collection.",
        removed,
    )
    return _answer(request, sentence % {"n": removed}, changed=removed)


def answer(request: SignedInRequest, sentence: str, *, back: str, **facts: Any) -> HttpResponse:
    """JSON for a script; for a plain form the sentence, on the page of the form's `next` if
    that is one of ours, on `back` elsewhere."""
    if wants_json(request):
        return JsonResponse({"sentence": sentence, **facts})
    messages.success(request, sentence)
    target = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(target, allowed_hosts=None)
    return redirect(target if is_ours and target.startswith("/") else back)


def _answer(request: SignedInRequest, sentence: str, **facts: Any) -> HttpResponse:
    return answer(request, sentence, back="gallery", **facts)


def _restored(request: SignedInRequest, restored: int) -> HttpResponse:
    sentence = ngettext(
        "%(n)d image is back in the gallery.", "%(n)d images are back in the gallery.", restored
    )
    return _answer(request, sentence % {"n": restored}, changed=restored)


def _selected(request: SignedInRequest) -> QuerySet[Image]:
    return select_images(owner=request.user, selection=read_selection(request.POST))


def _collection_id(request: SignedInRequest) -> uuid.UUID:
    """The form's `collection`; it has the shape of a place of the gallery."""
    chosen = read_filter({"in": request.POST.get("collection", "")}).collection_id
    if chosen is None:
        raise InvalidInput(_("Choose a collection."), field="collection")
    return chosen
