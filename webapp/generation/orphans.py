"""Files to delete: those whose row is gone, and those that no row names, left by a worker that was
killed, or lost its image, at a bad moment.

A file is an orphan only if its name is of the form that we give, no image, upload or running
attempt has it, and it is an hour old: what is just being written is never taken. A running attempt
writes under the token of its lease, and an upload's row is there before its file.
"""

import logging
import re
import threading
import uuid
from collections.abc import Collection, Iterator
from datetime import timedelta
from itertools import islice

from django.utils import timezone

from webapp.core.connections import let_go_of_database
from webapp.generation.models import DiscardedFile, Image, Upload
from webapp.generation.storage import delete_files, file_names, list_files

logger = logging.getLogger(__name__)

# An image's file, an upload's, or the draft of one ("." and a random end: see storage.py).
OURS = re.compile(
    r"(?:images|uploads)/[0-9a-f]{2}/"
    r"(?P<draft>\.)?(?P<base>(?P<id>[0-9a-f]{32})-[0-9a-f]{12}(?:-strip)?\.(?:png|webp))"
    r"(?(draft)\.[0-9a-f]{8})"
)
FOLDERS = [f"{kind}/{byte:02x}" for kind in ("images", "uploads") for byte in range(256)]
SAFE_AGE = timedelta(hours=1)  # far more than the clocks of storage and host are apart
FOLDERS_AT_ONCE = 64
FILES_AT_ONCE = 500

_swept = 0  # how many folders, since this process began
_sweeping = threading.Lock()


def delete_discarded_files() -> None:
    """Deletes files whose rows are gone; their lines go only after them. Raises StorageAway."""
    lines = dict(DiscardedFile.objects.order_by("pk").values_list("pk", "name")[:FILES_AT_ONCE])
    let_go_of_database()
    delete_files(*lines.values())
    DiscardedFile.objects.filter(pk__in=lines).delete()


def sweep_some() -> int:
    """Deletes the orphans of the next 64 folders, at most 500. Returns how many; raises
    StorageAway."""
    global _swept
    with _sweeping:
        first = _swept % len(FOLDERS)
        folders = FOLDERS[first : first + FOLDERS_AT_ONCE]
        found = list(islice(find_orphans(folders), FILES_AT_ONCE))
        let_go_of_database()
        delete_files(*found)
        if found:
            logger.warning("%d files that no row names were deleted: %s", len(found), found[0])
        if len(found) < FILES_AT_ONCE:
            _swept += FOLDERS_AT_ONCE
    return len(found)


def find_orphans(
    folders: Collection[str] = FOLDERS, *, older_than: timedelta = SAFE_AGE
) -> Iterator[str]:
    """The names of files in these folders that no row names. Raises StorageAway."""
    for folder in folders:
        let_go_of_database()
        old_enough = timezone.now() - older_than
        names = [
            one.name
            for one in list_files(folder)
            if one.modified_at < old_enough and OURS.fullmatch(one.name)
        ]
        for first in range(0, len(names), FILES_AT_ONCE):
            unnamed = _unnamed(names[first : first + FILES_AT_ONCE])
            let_go_of_database()
            yield from unnamed


def _unnamed(names: list[str]) -> list[str]:
    """Those of the names that no row has, asked after they were listed: whoever writes a file has
    its row before."""
    stems = {name: _stem(name) for name in names}
    ids = [uuid.UUID(_of(name)["id"]) for name in names]
    rows = {*_names_of_images(ids), *_names_of_uploads(ids)}
    rows.update(DiscardedFile.objects.filter(name__in=names).values_list("name", flat=True))
    return [name for name in names if stems[name] not in rows]


def _names_of_images(ids: list[uuid.UUID]) -> Iterator[str]:
    columns = ("pk", "file", "thumbnail", "strip", "lease_token")
    for pk, file, thumbnail, strip, token in Image.objects.filter(pk__in=ids).values_list(*columns):
        yield from (file, thumbnail, strip)
        if token is not None:
            yield from file_names(image_id=pk, lease_token=token)


def _names_of_uploads(ids: list[uuid.UUID]) -> Iterator[str]:
    for upload in Upload.objects.filter(pk__in=ids).only("file"):
        yield from (upload.file, upload.thumbnail)


def _stem(name: str) -> str:
    """The name that a draft is to become; any other name as it is."""
    folder = name.rpartition("/")[0]
    return f"{folder}/{_of(name)['base']}"


def _of(name: str) -> re.Match[str]:
    found = OURS.fullmatch(name)
    if found is None:
        raise ValueError(f"{name} is none of our names")
    return found
