"""Where pictures lie. Names carry the lease token: a worker only ever deletes its own file."""

import hashlib
import os
import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, default_storage


class DurableFileSystemStorage(FileSystemStorage):
    """A file is there whole and on the disk, or not at all: draft, fsync, rename, fsync."""

    def _save(self, name: str, content: File) -> str:  # type: ignore[type-arg]
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            with draft.open("xb") as file:
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


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What `services.store_image` writes down about the two files of an image."""

    name: str
    thumbnail: str
    sha256: str
    size_bytes: int


def file_names(*, image_id: uuid.UUID, lease_token: uuid.UUID) -> tuple[str, str]:
    """(picture, thumbnail) of that attempt, relative to the media storage."""
    stem = f"images/{image_id.hex[:2]}/{image_id.hex}-{lease_token.hex[:12]}"
    return f"{stem}.png", f"{stem}.webp"


def write_image_files(
    *, image_id: uuid.UUID, lease_token: uuid.UUID, png: bytes, thumbnail_webp: bytes
) -> StoredFile:
    """Writes picture and thumbnail; raises OSError (disk full, bucket away), nothing left."""
    name, thumbnail = file_names(image_id=image_id, lease_token=lease_token)
    try:
        default_storage.save(name, ContentFile(png))
        default_storage.save(thumbnail, ContentFile(thumbnail_webp))
    except BaseException:
        delete_files(name, thumbnail)
        raise
    return StoredFile(
        name=name,
        thumbnail=thumbnail,
        sha256=hashlib.sha256(png).hexdigest(),
        size_bytes=len(png),
    )


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
