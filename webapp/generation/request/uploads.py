"""Images uploaded as a start, and masks: kept by their owner, and swept if nobody uses them.

The row is written before its file, so that a crash leaves a row for the sweeper and never a file
that nothing names. A row whose file was never written is told to nobody.
"""

import hashlib
import logging
import secrets
import uuid
from datetime import timedelta
from typing import Any

from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core.decoding import CleanImage, check_size, clean_image, decoding_turn
from webapp.core.errors import Conflict, NotFound, Unavailable
from webapp.core.rates import count_attempt
from webapp.core.texts import read_choice
from webapp.generation.failures import STORAGE_FAILED
from webapp.generation.models import DiscardedFile, Generation, Image, Upload
from webapp.generation.storage import delete_files, has_file, read_kept, storage_errors

logger = logging.getLogger(__name__)

UPLOADS_PER_HOUR, HOUR_S = 120, 3600
KEPT_UNUSED = timedelta(days=1)
ROWS_AT_ONCE = 500
# An image's pixels never change: its start image has one id, however often it is asked for.
OF_IMAGES = uuid.UUID("5d3a2f0e-7c55-4a51-9f3b-1f6c1a0f6b1e")


def create_upload(*, owner: User, file: "File[Any]", size_bytes: int, kind: str) -> Upload:
    """The file's image, kept as the owner's start image or mask. Raises InvalidInput for a kind
    that is none or a file that is no image, TooMany after 120 in an hour or if their other images
    are still being read, Unavailable if too many people's are or the storage does not take it, and
    Conflict if the sweeper took it away meanwhile."""
    read_choice(kind, field="kind", allowed=Upload.Kind.values)
    check_size(size_bytes)
    _count_attempt(owner)
    with decoding_turn(owner.pk) as child:
        clean = clean_image(child, file, size_bytes=size_bytes, kind=kind)
        return _keep(uuid.uuid4(), owner=owner, kind=kind, clean=clean)


def create_upload_from_image(*, owner: User, image: Image) -> Upload:
    """The owner's stored image, kept as a start image; the same one however often it is asked for.

    Raises Conflict for an image that is not stored, NotFound if its file is gone, TooMany after
    120 in an hour or while the owner's other images are read, and Unavailable if too many people's
    are or the storage does not take it.
    """
    if image.state != Image.State.STORED:
        raise Conflict(_("This image is not finished: it cannot be a start image."))
    _count_attempt(owner)
    upload_id, kind = uuid.uuid5(OF_IMAGES, str(image.pk)), Upload.Kind.START
    with decoding_turn(owner.pk) as child:
        stored = ContentFile(read_kept(image.file))
        clean = clean_image(child, stored, size_bytes=image.size_bytes, kind=kind)
        return _keep(upload_id, owner=owner, kind=kind, clean=clean)


def get_owned_upload(*, owner: User, upload_id: uuid.UUID) -> Upload:
    """The owner's upload; raises NotFound to anybody else."""
    upload = Upload.objects.filter(owner=owner, pk=upload_id).first()
    if upload is None:
        raise NotFound
    return upload


def delete_unused_uploads() -> int:
    """Removes uploads that no request has named for a day; their files go with the next sweeps.
    Returns how many it removed."""
    old = Upload.objects.filter(created_at__lt=Now() - KEPT_UNUSED)
    removed = 0
    while batch := delete_unused(old):
        removed += batch
    return removed


@transaction.atomic
def delete_unused(uploads: QuerySet[Upload]) -> int:
    """Removes up to 500 of these that no request names. Returns how many; 0 if none is left
    that nobody else holds."""
    free = _unused(uploads.select_for_update(skip_locked=True, of=("self",)))
    locked = list(free.values_list("pk", flat=True)[:ROWS_AT_ONCE])
    # Asked again: a request may have named one before it was locked; from now on none can.
    unused = list(_unused(Upload.objects.filter(pk__in=locked)))
    DiscardedFile.discard(name for upload in unused for name in (upload.file, upload.thumbnail))
    Upload.objects.filter(pk__in=[upload.pk for upload in unused]).delete()
    return len(unused)


def _count_attempt(owner: User) -> None:
    count_attempt(name=f"upload:user:{owner.pk}", limit=UPLOADS_PER_HOUR, window_s=HOUR_S)


def _keep(upload_id: uuid.UUID, *, owner: User, kind: str, clean: CleanImage) -> Upload:
    upload, _is_new = Upload.objects.get_or_create(
        pk=upload_id,
        defaults={
            "owner": owner,
            "kind": kind,
            "file": f"uploads/{upload_id.hex[:2]}/{upload_id.hex}-{secrets.token_hex(6)}.png",
            "width_px": clean.width_px,
            "height_px": clean.height_px,
            "sha256": hashlib.sha256(clean.png).hexdigest(),
            "size_bytes": len(clean.png),
        },
    )
    # One that was made before is as good as new: another day until it is swept.
    if not Upload.objects.filter(pk=upload.pk).update(created_at=Now()):
        raise Conflict(_("This image was just removed. Try again."))
    _write(upload.file, clean.png)
    _write(upload.thumbnail, clean.thumbnail_webp)
    return upload


def _write(name: str, content: bytes) -> None:
    try:
        if has_file(name):
            return
        with storage_errors():
            saved = default_storage.save(name, ContentFile(content))
    except OSError as error:
        logger.error("an upload could not be written: %s", error)
        raise Unavailable(STORAGE_FAILED) from error
    if saved != name:  # somebody beside us has written the same
        delete_files(saved)


def _unused(uploads: QuerySet[Upload]) -> QuerySet[Upload]:
    named = Generation.objects.filter(Q(start=OuterRef("pk")) | Q(mask=OuterRef("pk")))
    return uploads.filter(~Exists(named)).order_by("created_at", "pk")
