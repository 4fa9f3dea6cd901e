"""The views of uploads: as a file, or from one's own images."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _

from webapp.accounts.requests import SignedInRequest
from webapp.core.errors import InvalidInput
from webapp.core.ids import read_optional_id
from webapp.core.methods import require_GET, require_POST
from webapp.generation.models import Upload
from webapp.generation.private_files import private_file
from webapp.generation.request import uploads
from webapp.generation.selectors import get_owned_image


@login_required
@require_POST
def create_upload(request: SignedInRequest) -> JsonResponse:
    """201 with the upload that was made of the form's `file`, a `kind` of "start" or "mask". Raises
    InvalidInput without a file, and what `uploads.create_upload` raises."""
    file = request.FILES.get("file")
    if file is None:
        raise InvalidInput(_("Choose an image."), field="file")
    upload = uploads.create_upload(
        owner=request.user,
        file=file,
        size_bytes=file.size or 0,
        kind=request.POST.get("kind", ""),
    )
    return JsonResponse(upload_facts(upload), status=201)


@login_required
@require_POST
def upload_from_image(request: SignedInRequest) -> JsonResponse:
    """201 with the start image that was made of the visitor's `image`. Raises InvalidInput without
    an id, NotFound for one of somebody else, and what `uploads.create_upload_from_image` raises."""
    image_id = read_optional_id(request.POST.get("image"), field="image")
    if image_id is None:
        raise InvalidInput(_("Say which image: its id is missing."), field="image")
    image = get_owned_image(owner=request.user, image_id=image_id)
    upload = uploads.create_upload_from_image(owner=request.user, image=image)
    return JsonResponse({**upload_facts(upload), "image": str(image.pk)}, status=201)


@login_required
@require_GET
def upload_file(request: SignedInRequest, upload_id: uuid.UUID) -> HttpResponseBase:
    """The upload's PNG; the owner is asked for on every fetch. Raises NotFound for anybody else's,
    and if its file is gone."""
    upload = uploads.get_owned_upload(owner=request.user, upload_id=upload_id)
    return private_file(request, upload.file, content_type="image/png")


@login_required
@require_GET
def upload_thumbnail(request: SignedInRequest, upload_id: uuid.UUID) -> HttpResponseBase:
    """A small copy of it, WebP; raises the same."""
    upload = uploads.get_owned_upload(owner=request.user, upload_id=upload_id)
    return private_file(request, upload.thumbnail, content_type="image/webp")


def upload_facts(upload: Upload) -> dict[str, str | int]:
    """What the page's script is told of an upload: its id, kind, size in pixels and two
    addresses."""
    return {
        "id": str(upload.pk),
        "kind": upload.kind,
        "width_px": upload.width_px,
        "height_px": upload.height_px,
        "url": reverse("upload_file", args=[upload.pk]),
        "thumbnail_url": reverse("upload_thumbnail", args=[upload.pk]),
    }
