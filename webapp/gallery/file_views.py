"""The bytes of private images, one or many: the owner is asked for on every fetch."""

import uuid

from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.http import content_disposition_header

from webapp.accounts.requests import SignedInRequest
from webapp.core.methods import require_GET, require_POST
from webapp.core.texts import read_choice
from webapp.core.zipping import stream_zip
from webapp.gallery.downloads import FORMATS, as_stored, download_name, encode, list_entries
from webapp.gallery.selection import read_selection
from webapp.generation.private_files import (
    private_bytes,
    private_download,
    private_file,
    private_image,
)
from webapp.generation.selectors import get_owned_image


@login_required
@require_GET
def image_file(request: SignedInRequest, image_id: uuid.UUID) -> HttpResponseBase:
    """The owner's image as it was stored, PNG. Raises NotFound for anybody else's."""
    image = get_owned_image(owner=request.user, image_id=image_id)
    return private_image(request, image.file, content_type="image/png")


@login_required
@require_GET
def image_thumbnail(request: SignedInRequest, image_id: uuid.UUID) -> HttpResponseBase:
    """A small copy of the owner's image, WebP. Raises NotFound for anybody else's."""
    image = get_owned_image(owner=request.user, image_id=image_id)
    return private_file(request, image.thumbnail, content_type="image/webp")


@login_required
@require_GET
def image_strip(request: SignedInRequest, image_id: uuid.UUID) -> HttpResponseBase:
    """The previews of its run side by side, WebP; 404 if none were kept."""
    image = get_owned_image(owner=request.user, image_id=image_id)
    return private_file(request, image.strip, content_type="image/webp")


@login_required
@require_GET
def image_download(request: SignedInRequest, image_id: uuid.UUID) -> HttpResponseBase:
    """The image as a file named after its prompt and seed: `?format=` png (as it was stored),
    jpeg or webp, `&metadata=no` without what made it."""
    image = get_owned_image(owner=request.user, image_id=image_id)
    with_metadata = _read_metadata(request.GET.get("metadata", "yes"))
    name = request.GET.get("format", "png")
    if as_stored(name=name, with_metadata=with_metadata):
        kind = FORMATS[name].content_type
        return private_download(
            request, image.file, content_type=kind, filename=download_name(image)
        )
    body, form = encode(image, name=name, with_metadata=with_metadata, asker=request.user.pk)
    response = private_bytes(body, content_type=form.content_type)
    filename = f"{download_name(image).removesuffix('png')}{form.suffix}"
    disposition = content_disposition_header(as_attachment=True, filename=filename)
    response["Content-Disposition"] = str(disposition)
    return response


@login_required
@require_POST
def archive(request: SignedInRequest) -> HttpResponseBase:
    """The images of the selection as they were stored, in one zip.

    What is in it is known before the first byte is sent, and the database connection given back:
    a download may take minutes.
    """
    entries = list_entries(owner=request.user, selection=read_selection(request.POST))
    response = StreamingHttpResponse(stream_zip(entries), content_type="application/zip")
    name = f"darkroom-{timezone.localdate().isoformat()}.zip"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    if not connection.in_atomic_block:
        connection.close()
    return response


def _read_metadata(text: str) -> bool:
    return read_choice(text, field="metadata", allowed=["yes", "no"]) == "yes"
