"""Everything of one person goes, in short transactions: safe to stop anywhere and to run again.

A worker that is drawing meanwhile finds its lease gone, and deletes its own files.
"""

import uuid

from django.db import transaction

from webapp.accounts.models import User
from webapp.core.errors import NotFound
from webapp.generation.models import DiscardedFile, Generation, Image, Upload
from webapp.generation.queueing.services import cancel_image
from webapp.generation.request.uploads import delete_unused

ROWS_AT_ONCE = 500


def cancel_all(*, owner: User) -> int:
    """Ends whatever of the owner is queued or running, and gives the credits back. Returns how
    many images it cancelled."""
    cancelled = 0
    while ids := _live(owner):
        cancelled += sum(_cancel(owner, image_id) for image_id in ids)
    return cancelled


def erase_images(*, owner: User) -> int:
    """Removes the owner's ended images, requests and uploads; their files go with the next sweeps.

    Returns how many images it removed. Images that are still live stay: cancel them first.
    """
    removed = 0
    while batch := _erase_images(owner):
        removed += batch
    while _erase_generations(owner):
        pass
    while delete_unused(Upload.objects.filter(owner=owner)):
        pass
    return removed


def _live(owner: User) -> list[uuid.UUID]:
    live = Image.objects.filter(owner=owner, state__in=Image.LIVE)
    return list(live.values_list("pk", flat=True)[:ROWS_AT_ONCE])


def _cancel(owner: User, image_id: uuid.UUID) -> bool:
    try:
        return cancel_image(owner=owner, image_id=image_id)
    except NotFound:  # somebody who erases beside us was faster
        return False


@transaction.atomic
def _erase_images(owner: User) -> int:
    # What somebody else holds is left to the next run: two who erase never wait for each other.
    ended = Image.objects.select_for_update(skip_locked=True).filter(owner=owner)
    ended = ended.exclude(state__in=Image.LIVE).only("pk", "file", "thumbnail", "strip")
    images = list(ended[:ROWS_AT_ONCE])
    DiscardedFile.discard(
        name for image in images for name in (image.file, image.thumbnail, image.strip)
    )
    Image.objects.filter(pk__in=[image.pk for image in images]).delete()
    return len(images)


@transaction.atomic
def _erase_generations(owner: User) -> int:
    empty = Generation.objects.filter(owner=owner, images=None)
    ids = list(empty.order_by("pk").values_list("pk", flat=True)[:ROWS_AT_ONCE])
    # Asked again: a request that is being made beside us has its images by now.
    Generation.objects.filter(pk__in=ids, images=None).delete()
    return len(ids)
