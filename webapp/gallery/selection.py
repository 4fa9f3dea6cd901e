"""Which images an act is about: some that were picked, or all that a filter shows."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core.digits import read_moment
from webapp.core.errors import InvalidInput, NotFound
from webapp.core.ids import read_id
from webapp.gallery.filters import WallFilter, read_filter
from webapp.gallery.models import CollectionItem
from webapp.gallery.searching import FoundFirst, write_search
from webapp.gallery.selectors import get_collection, images_of_place
from webapp.generation.models import Image
from webapp.generation.selectors import bin_kept_since

PICKED_MOST = 2000


@dataclass(frozen=True, slots=True)
class Selection:
    """Picked ids; or, if there are none, the filter and when its page was made: what came
    after that was never seen, and is not meant."""

    ids: tuple[uuid.UUID, ...] = ()
    wall: WallFilter = field(default_factory=WallFilter)
    seen_at: datetime | None = None


def read_selection(data: QueryDict) -> Selection:
    """From a form: `image` (ids, one a field or with commas between them), or `all` with the
    filter and `seen`. Raises InvalidInput if neither can be read."""
    if data.get("all"):
        return Selection(wall=read_filter(data), seen_at=_read_moment(data.get("seen", "")))
    ids = [one for text in data.getlist("image") for one in text.split(",") if one]
    if not ids:
        raise InvalidInput(_("Select at least one image."), field="image")
    if len(ids) > PICKED_MOST:
        sentence = _("At most %(most)s images can be selected at once.")
        raise InvalidInput(sentence % {"most": f"{PICKED_MOST:,}"}, field="image")
    return Selection(ids=tuple(read_id(one, field="image") for one in ids))


def select_images(*, owner: User, selection: Selection) -> QuerySet[Image]:
    """The owner's stored images of the selection, in no order, without any join.

    Raises NotFound for a collection that is not theirs, and if none of the picked ones is
    there or theirs; InvalidInput for a search that cannot be asked for.
    """
    if not selection.ids:
        return _matching(owner, selection.wall, selection.seen_at)
    images = Image.objects.filter(owner=owner, state=Image.State.STORED, pk__in=selection.ids)
    picked = images.filter(Q(binned_at=None) | Q(binned_at__gt=bin_kept_since()))
    if not picked.exists():
        raise NotFound
    return picked


def _matching(owner: User, wall: WallFilter, seen_at: datetime | None) -> QuerySet[Image]:
    images = images_of_place(owner=owner, wall=wall)
    search = write_search(owner=owner, wall=wall)
    if search:
        images = images.filter(FoundFirst(search))
    if wall.collection_id:
        collection = get_collection(owner=owner, collection_id=wall.collection_id)
        items = CollectionItem.objects.filter(collection=collection)
        images = images.filter(pk__in=items.values("image"))
    return images.filter(**{f"{wall.clock}__lte": seen_at})


def _read_moment(text: str) -> datetime:
    try:
        return read_moment(text)
    except ValueError as error:
        sentence = _("The list has changed. Reload the page and select again.")
        raise InvalidInput(sentence, field="seen") from error
