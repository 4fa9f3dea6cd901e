"""Reading finished images: pages of the wall by cursor, any page as fast as the first; and what
a wall can be narrowed by."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import get_language

from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.catalog.vocabulary import in_language
from webapp.catalog.vocabulary_selectors import kept_vocabulary
from webapp.core.cursors import read_cursor
from webapp.core.cursors import write_cursor as write_cursor
from webapp.core.days import end_of, start_of
from webapp.core.errors import NotFound
from webapp.gallery.filters import FAVOURITES, WallFilter
from webapp.gallery.models import Collection
from webapp.gallery.searching import Among, FoundFirst, LookedAt, Search, write_search
from webapp.generation.models import Image, QueueShare
from webapp.generation.request.styles import PLAIN, STYLES
from webapp.generation.selectors import bin_kept_since

PAGE_SIZE = 60
COUNTED_MOST = 1000
# So many images are looked at for a common word: one that is in every sixteenth fills a page.
LOOKED_AT_MOST = 1000
# So many requests are named by the index for a rare one.
NAMED_MOST = 1000
# The fields of a WallImage, in its order; the join to the request comes with them.
SHOWN = (
    "pk",
    "finished_at",
    "binned_at",
    "is_favourite",
    "generation__prompt",
    "generation__width_px",
    "generation__height_px",
)


@dataclass(frozen=True, slots=True)
class WallImage:
    """What the wall shows of an image."""

    pk: uuid.UUID
    finished_at: datetime
    binned_at: datetime | None
    is_favourite: bool
    prompt: str
    width_px: int
    height_px: int


# An image and its time in the walk: what a cursor is made of.
Position = tuple[uuid.UUID, datetime]
Found = tuple[list[Position], int, bool]


@dataclass(frozen=True, slots=True)
class WallPage:
    """Up to 60 images, newest first; `next_cursor` is "" on the last page. `counted` is how many
    there are behind the cursor, at most 1,000; if `is_more`, there are more than that."""

    images: list[WallImage]
    next_cursor: str
    counted: int
    is_more: bool


@dataclass(frozen=True, slots=True)
class Walk:
    """The images of a place in its order, newest first by `clock`."""

    images: QuerySet[Image]
    clock: str


def list_wall_page(*, owner: User, wall: WallFilter, cursor: str = "") -> WallPage:
    """The owner's stored images that the filter shows, behind the cursor.

    Raises InvalidInput for a cursor that is not ours and a search that cannot be asked for, and
    NotFound for a collection that is not the owner's.
    """
    search = write_search(owner=owner, wall=wall)
    walk = walk_place(owner=owner, wall=wall)
    if cursor:
        walk = _behind(walk, cursor)
    if search is None:
        return _look(walk)
    found, counted, is_more = _search(walk, search)
    images = _load([pk for pk, _when in found[:PAGE_SIZE]])
    next_cursor = write_cursor(*found[PAGE_SIZE - 1]) if len(found) > PAGE_SIZE else ""
    return WallPage(images, next_cursor, min(counted, COUNTED_MOST), is_more)


def walk_place(*, owner: User, wall: WallFilter) -> Walk:
    """The images of the filter's place and dates, without its search. Raises NotFound for a
    collection that is not the owner's."""
    images, clock = images_of_place(owner=owner, wall=wall), wall.clock
    if wall.collection_id:
        collection = get_collection(owner=owner, collection_id=wall.collection_id)
        images = images.filter(collection_items__collection=collection)
        clock = "collection_items__finished_at"
    return Walk(images.order_by(f"-{clock}", "-pk"), clock)


def images_of_place(*, owner: User, wall: WallFilter) -> QuerySet[Image]:
    """The owner's stored images of the filter's dates, in the bin or outside it, favourites or
    all: in no order, without any join. Which of them a collection holds is for the caller to
    ask: a wall joins it for its order, an act must not."""
    images = Image.objects.filter(owner=owner, state=Image.State.STORED)
    if wall.since:
        images = images.filter(finished_at__gte=start_of(wall.since))
    if wall.until:
        images = images.filter(finished_at__lt=end_of(wall.until))
    if wall.is_bin:
        return images.filter(binned_at__gt=bin_kept_since())
    images = images.filter(binned_at=None)
    return images.filter(is_favourite=True) if wall.place == FAVOURITES else images


def get_collection(*, owner: User, collection_id: uuid.UUID) -> Collection:
    """The owner's collection; raises NotFound to anybody else."""
    found = Collection.objects.filter(owner=owner, pk=collection_id).first()
    if found is None:
        raise NotFound
    return found


def list_collections(*, owner: User) -> list[Collection]:
    """The owner's collections by name."""
    return list(Collection.objects.filter(owner=owner).order_by("name"))


def list_asked_models(*, owner: User) -> list[DiffusionModel]:
    """The models that the owner ever asked to draw, by name: each has a share of a queue."""
    needed = ("slug", "name", "vocabulary_digest")
    used = QueueShare.objects.filter(owner=owner, model=OuterRef("pk"))
    return list(DiffusionModel.objects.filter(Exists(used)).only(*needed).order_by("name"))


def list_styles(models: Iterable[DiffusionModel]) -> list[tuple[str, str]]:
    """(slug, name) of the styles that a request may have had: ours, then those that the models have
    of their own, or had."""
    names = {slug: str(style.name) for slug, style in STYLES.items() if slug != PLAIN}
    language = get_language() or "en"
    for model in models:
        for slug, own in kept_vocabulary(model).style_names.items():
            names.setdefault(slug, in_language(own, language))
    return list(names.items())


def _look(walk: Walk) -> WallPage:
    """Without a search: one query for the page, and one that counts if it is full."""
    rows = list(walk.images.values_list(walk.clock, *SHOWN)[: PAGE_SIZE + 1])
    images = [WallImage(*shown) for _when, *shown in rows[:PAGE_SIZE]]
    if len(rows) <= PAGE_SIZE:
        return WallPage(images, "", len(rows), False)
    counted = walk.images[: COUNTED_MOST + 1].count()
    next_cursor = write_cursor(images[-1].pk, rows[PAGE_SIZE - 1][0])
    return WallPage(images, next_cursor, min(counted, COUNTED_MOST), counted > COUNTED_MOST)


def _search(walk: Walk, search: Search) -> Found:
    """The positions of a page and perhaps more, how many there are, and whether there are more.

    Common words: the newest images are looked at one after the other, and nothing else.
    Rare words: the index names the requests, and they their images. Words that are common, but
    not lately: all images are walked, beside a table of the requests."""
    positions = _positions(walk)
    edge = _find_edge(walk)
    near = positions.filter(**{f"{walk.clock}__gte": edge}) if edge else positions
    found = list(near.filter(LookedAt(search))[: COUNTED_MOST + 1])
    if edge is None or len(found) > PAGE_SIZE:
        return found, len(found), edge is not None or len(found) > COUNTED_MOST
    requests = _list_requests(search)
    rare = Among(requests) if len(requests) <= NAMED_MOST else FoundFirst(search)
    found = list(positions.filter(rare)[: COUNTED_MOST + 1])
    return found, len(found), len(found) > COUNTED_MOST


def _positions(walk: Walk) -> "QuerySet[Image, Position]":
    return walk.images.values_list("pk", walk.clock)


def _find_edge(walk: Walk) -> datetime | None:
    """The time of the 1,000th image of the walk; None if it is shorter."""
    last = walk.images.values_list(walk.clock, flat=True)[LOOKED_AT_MOST - 1 : LOOKED_AT_MOST]
    return next(iter(last), None)


def _list_requests(search: Search) -> list[uuid.UUID]:
    """Up to 1,001 requests that hold."""
    statement = (
        "SELECT id FROM generation_generation"
        " WHERE search @@ (%s::tsquery && to_tsquery('simple', %s)) LIMIT %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [search.facets, search.words, NAMED_MOST + 1])
        return [row[0] for row in cursor.fetchall()]


def _load(ids: list[uuid.UUID]) -> list[WallImage]:
    rows = Image.objects.filter(pk__in=ids).values_list(*SHOWN)
    by_id = {row[0]: WallImage(*row) for row in rows}
    # One that was deleted between the two queries is left out.
    return [by_id[pk] for pk in ids if pk in by_id]


def _behind(walk: Walk, cursor: str) -> Walk:
    when, pk = read_cursor(cursor, field="cursor")
    clock = walk.clock
    older = Q(**{f"{clock}__lt": when}) | Q(pk__lt=pk)
    return Walk(walk.images.filter(Q(**{f"{clock}__lte": when}), older), clock)
