"""Where pictures lie. Names carry the lease token: a worker only ever deletes its own file."""

import hashlib
import logging
import os
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, default_storage

from webapp.core.storages import PatientStorage
from webapp.embedded.private import open_private

logger = logging.getLogger(__name__)


class DurableFileSystemStorage(PatientStorage, FileSystemStorage):
    """A file is there whole and on the disk, or not at all: draft, fsync, rename, fsync."""

    def _save(self, name: str, content: File) -> str:  # type: ignore[type-arg]
        target = Path(self.path(name))
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            with open(open_private(draft, os.O_EXCL), "wb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _fsync_folder(target.parent)
        return name


StripSteps = Sequence[tuple[int, float | None]]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What `services.store_image` writes down about the files of an image. `strip` is "" where
    there is none; `strip_steps` says for each of its frames how many denoiser calls had been made
    and the time that the next one was told (None where that is not known)."""

    name: str
    thumbnail: str
    sha256: str
    size_bytes: int
    strip: str = ""
    strip_steps: StripSteps = ()


def file_names(*, image_id: uuid.UUID, lease_token: uuid.UUID) -> tuple[str, str, str]:
    """(picture, thumbnail, strip) of that attempt, relative to the media storage."""
    stem = f"images/{image_id.hex[:2]}/{image_id.hex}-{lease_token.hex[:12]}"
    return f"{stem}.png", f"{stem}.webp", f"{stem}-strip.webp"


def write_image_files(
    *,
    image_id: uuid.UUID,
    lease_token: uuid.UUID,
    png: bytes,
    thumbnail_webp: bytes,
    strip_webp: bytes = b"",
    strip_steps: StripSteps = (),
) -> StoredFile:
    """Writes picture, thumbnail and strip; raises OSError (disk full, bucket away), nothing left.

    A strip that cannot be written is left out, and logged: the picture is what was asked for.
    """
    name, thumbnail, strip = file_names(image_id=image_id, lease_token=lease_token)
    try:
        default_storage.save(name, ContentFile(png))
        default_storage.save(thumbnail, ContentFile(thumbnail_webp))
    except BaseException:
        delete_files(name, thumbnail)
        raise
    has_strip = bool(strip_webp) and _try_to_save(strip, strip_webp)
    return StoredFile(
        name=name,
        thumbnail=thumbnail,
        sha256=hashlib.sha256(png).hexdigest(),
        size_bytes=len(png),
        strip=strip if has_strip else "",
        strip_steps=strip_steps if has_strip else (),
    )


def _try_to_save(name: str, content: bytes) -> bool:
    try:
        default_storage.save(name, ContentFile(content))
    except OSError as error:
        logger.warning("%s was not written: %s", name, error)
        return False
    return True


def delete_files(*names: str) -> None:
    """Deletes what is there of these names; a name that is gone already is fine."""
    for name in names:
        if name:
            default_storage.delete(name)


def read_file(name: str) -> bytes:
    """The file's bytes; raises FileNotFoundError where it is gone."""
    with default_storage.open(name) as file:
        return bytes(file.read())


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
