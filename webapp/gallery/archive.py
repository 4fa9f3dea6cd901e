"""Many images as one zip, written while it is sent."""

from collections.abc import Iterator
from functools import partial
from itertools import count

from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.accounts.requests import SignedInRequest
from webapp.core.errors import TooMany
from webapp.core.methods import require_POST
from webapp.core.zipping import ZipEntry, read_stored_file, stream_zip
from webapp.gallery.media import download_name
from webapp.gallery.selection import Selection, read_selection, select_images
from webapp.generation.models import Image

PICTURES_MOST = 2000
FIELDS = ("file", "seed", "finished_at", "generation__prompt")


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


def list_entries(*, owner: User, selection: Selection) -> list[ZipEntry]:
    """The files of the selection, newest first, each under a name of its own. Raises TooMany
    beyond 2,000, and as `select_images` does."""
    images = select_images(owner=owner, selection=selection).select_related("generation")
    found = list(images.order_by("-finished_at", "-pk").only(*FIELDS)[: PICTURES_MOST + 1])
    if len(found) > PICTURES_MOST:
        sentence = _("At most %(most)s pictures fit into one zip. Select fewer.")
        raise TooMany(sentence % {"most": f"{PICTURES_MOST:,}"})
    return [
        ZipEntry(name, partial(read_stored_file, image.file), modified=image.finished_at)
        for name, image in zip(_names(found), found, strict=True)
    ]


def _names(images: list[Image]) -> Iterator[str]:
    """`a-fox-7.png`, and if that is taken `a-fox-7-2.png`."""
    taken: set[str] = set()
    for image in images:
        name = wanted = download_name(image)
        for number in count(2):
            if name not in taken:
                break
            name = f"{wanted.removesuffix('.png')}-{number}.png"
        taken.add(name)
        yield name
