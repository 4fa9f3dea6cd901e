"""What is done to many images at once: each act is one statement over the owner's images.

The bin: an image in it has `binned_at`; all that one act put there have the same moment, by
which that act is undone. After 30 days it is gone for everybody, and `empty_bins` removes row
and files within a minute or so. Deleting for good moves that moment to long ago, so that however
many images it is about, it is one statement, and nothing is left half done. Credits are not
touched by any of it.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection, transaction
from django.db.models import QuerySet, Value

from webapp.accounts.models import User
from webapp.core.connections import database_now
from webapp.gallery.models import Collection, CollectionItem
from webapp.gallery.selectors import get_collection
from webapp.generation.models import DiscardedFile, Generation, Image
from webapp.generation.selectors import bin_kept_since

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Binning:
    """How many images went into the bin, and when: `at` undoes it."""

    images: int
    at: datetime


def mark_favourites(*, images: QuerySet[Image], is_favourite: bool) -> int:
    """Marks the images, or takes the mark back. Returns how many had it differently."""
    changed = images.filter(binned_at=None, is_favourite=not is_favourite)
    return changed.update(is_favourite=is_favourite)


def bin_images(*, images: QuerySet[Image]) -> Binning:
    """Puts those into the bin that are not there yet; links to them lead nowhere meanwhile."""
    now = database_now()
    return Binning(images.filter(binned_at=None).update(binned_at=now), now)


def undo_binning(*, owner: User, at: datetime) -> int:
    """Takes everything out again that went into the bin at that moment; returns how many."""
    binned = Image.objects.filter(owner=owner, binned_at=at).filter(binned_at__gt=bin_kept_since())
    return binned.update(binned_at=None)


def restore_images(*, images: QuerySet[Image]) -> int:
    """Takes the images out of the bin; returns how many were in it."""
    return images.filter(binned_at__gt=bin_kept_since()).update(binned_at=None)


def delete_binned(*, images: QuerySet[Image]) -> int:
    """Deletes for good those of the images that are in the bin; returns how many. They are gone
    from every page at once; rows and files follow."""
    return images.filter(binned_at__gt=bin_kept_since()).update(binned_at=LONG_AGO)


def add_to_collection(*, owner: User, collection_id: uuid.UUID, images: QuerySet[Image]) -> int:
    """Puts the images into the owner's collection; returns how many were not in it yet. Raises
    NotFound for a collection that is not the owner's."""
    with transaction.atomic():
        collection = _lock_collection(owner, collection_id)
        rows = images.filter(binned_at=None).annotate(into=Value(collection.pk))
        query, parameters = rows.values_list("into", "pk", "finished_at").query.sql_with_params()
        with connection.cursor() as cursor:
            # Values are parameters throughout: the statement is Django's own SELECT, inserted.
            cursor.execute(
                "INSERT INTO gallery_collectionitem (collection_id, image_id, finished_at)"
                f" {query} ON CONFLICT DO NOTHING",
                parameters,
            )
            return int(cursor.rowcount)


def remove_from_collection(
    *, owner: User, collection_id: uuid.UUID, images: QuerySet[Image]
) -> int:
    """Takes the images out of the owner's collection; returns how many were in it. Raises
    NotFound for a collection that is not the owner's."""
    collection = get_collection(owner=owner, collection_id=collection_id)
    items = CollectionItem.objects.filter(collection=collection, image__in=images.values("pk"))
    removed, _by_model = items.delete()
    return removed


def empty_bins(*, batches: int) -> int:
    """Removes images that nobody may see any more, up to 500 a batch and transaction; their
    files go with the next sweep, their lines in the ledger stay. Returns how many it removed."""
    removed = 0
    for _batch in range(batches):
        batch = _remove_batch()
        removed += batch
        if batch < ROWS_AT_ONCE:
            break
    return removed


@transaction.atomic
def _remove_batch() -> int:
    due = Image.objects.select_for_update(skip_locked=True).filter(binned_at__lte=bin_kept_since())
    fields = ("pk", "generation_id", "file", "thumbnail", "strip")
    images = list(due.order_by("binned_at").only(*fields)[:ROWS_AT_ONCE])
    names = [name for one in images for name in (one.file, one.thumbnail, one.strip) if name]
    DiscardedFile.objects.bulk_create(DiscardedFile(name=name) for name in names)
    Image.objects.filter(pk__in=[one.pk for one in images]).delete()
    _remove_empty_requests({one.generation_id for one in images})
    return len(images)


def _remove_empty_requests(ids: Iterable[uuid.UUID]) -> None:
    """Locked first: of two who remove the last images of a request, the second sees it empty."""
    requests = Generation.objects.select_for_update().filter(pk__in=ids).order_by("pk")
    locked = [one.pk for one in requests.only("pk")]
    Generation.objects.filter(pk__in=locked, images=None).delete()


def _lock_collection(owner: User, collection_id: uuid.UUID) -> Collection:
    """It cannot be deleted while images are put into it."""
    get_collection(owner=owner, collection_id=collection_id)
    return Collection.objects.select_for_update(no_key=True).get(pk=collection_id)
