"""Reading finished images: pages of the gallery by cursor, any page as fast as the first."""

import base64
import binascii
import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core.errors import InvalidInput
from webapp.generation.models import Image

PAGE_SIZE = 60


@dataclass(frozen=True, slots=True)
class GalleryPage:
    """Up to 60 images, newest first; `next_cursor` is "" on the last page."""

    images: list[Image]
    next_cursor: str


def list_gallery_page(*, owner: User, cursor: str = "") -> GalleryPage:
    """The owner's stored images behind the cursor; raises InvalidInput for a cursor not ours."""
    images = (
        Image.objects.filter(owner=owner, state=Image.State.STORED)
        .select_related("generation")
        .order_by("-finished_at", "-pk")
    )
    if cursor:
        finished_at, pk = _read_cursor(cursor)
        images = images.filter(
            Q(finished_at__lte=finished_at), Q(finished_at__lt=finished_at) | Q(pk__lt=pk)
        )
    page = list(images[: PAGE_SIZE + 1])
    more = len(page) > PAGE_SIZE
    return GalleryPage(page[:PAGE_SIZE], _write_cursor(page[PAGE_SIZE - 1]) if more else "")


def count_gallery(*, owner: User) -> int:
    """How many finished images the owner has."""
    return Image.objects.filter(owner=owner, state=Image.State.STORED).count()


def _write_cursor(image: Image) -> str:
    assert image.finished_at is not None  # noqa: S101 - a stored image has its time
    raw = f"{image.finished_at.isoformat()} {image.pk.hex}"
    return base64.urlsafe_b64encode(raw.encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, uuid.UUID]:
    try:
        when, _space, pk = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        return datetime.fromisoformat(when), uuid.UUID(hex=pk)
    except (ValueError, binascii.Error) as error:
        sentence = _("That page of the gallery does not exist. Start again at the top.")
        raise InvalidInput(sentence, field="cursor") from error
