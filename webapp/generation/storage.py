"""Where images lie. Names carry the lease token: a worker only ever deletes its own file.

Whatever a storage raises that is full, read-only, refusing or away, be it the disk's or a
bucket's, is `StorageAway` here; FileNotFoundError stays what it is.
"""

import hashlib
import logging
import os
import secrets
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils.translation import gettext as _

from webapp.core.buckets import BucketStorage
from webapp.core.errors import NotFound
from webapp.core.neighbours import StorageAway as StorageAway
from webapp.core.storages import ListedFile, PatientStorage
from webapp.core.zipping import CHUNK_BYTES
from webapp.embedded.private import open_private

logger = logging.getLogger(__name__)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raises StorageAway for what a disk raises, as a bucket does by itself; FileNotFoundError
    passes."""
    try:
        yield
    except (FileNotFoundError, StorageAway):
        raise
    except OSError as error:
        raise StorageAway(str(error)) from error


class DurableFileSystemStorage(PatientStorage, FileSystemStorage):
    """A file is there whole and on the disk, or not at all: draft, fsync, rename, fsync."""

    def exists(self, name: str) -> bool:
        """Whether the file is there; raises OSError if that cannot be seen. Django's says "no"
        to a folder that may not be entered, which looks as if every file were lost."""
        return self.ask(self._is_there, name)

    def _is_there(self, name: str) -> bool:
        try:
            os.lstat(self.path(name))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def list_folder(self, folder: str) -> list[ListedFile]:
        """What its names, sizes and times are; no MD5, which would be read from the files."""
        return self.ask(lambda: list(self._scan(folder)))

    def _scan(self, folder: str) -> Iterator[ListedFile]:
        with suppress(FileNotFoundError), os.scandir(self.path(folder)) as entries:
            for entry in entries:
                # One that goes meanwhile is not there.
                with suppress(FileNotFoundError):
                    if entry.is_file(follow_symlinks=False):
                        facts = entry.stat(follow_symlinks=False)
                        modified_at = datetime.fromtimestamp(facts.st_mtime, UTC)
                        yield ListedFile(f"{folder}/{entry.name}", facts.st_size, modified_at)

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
    """What `services.store_image` writes down about the files of an image. `strip` is "" if
    there is none; `strip_steps` says for each of its frames how many denoiser calls had been made
    and the time that the next one was told (None if that is not known)."""

    name: str
    thumbnail: str
    sha256: str
    size_bytes: int
    strip: str = ""
    strip_steps: StripSteps = ()


def file_names(*, image_id: uuid.UUID, lease_token: uuid.UUID) -> tuple[str, str, str]:
    """(image, thumbnail, strip) of that attempt, relative to the media storage."""
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
    """Writes image, thumbnail and strip. Raises StorageAway (disk full, bucket away); what was
    written by then is replaced by the next try, or deleted by `delete_files`.

    A strip that cannot be written is left out, and logged: the image is what was asked for.
    """
    name, thumbnail, strip = file_names(image_id=image_id, lease_token=lease_token)
    replace_file(name, png)
    replace_file(thumbnail, thumbnail_webp)
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
        replace_file(name, content)
    except StorageAway as error:
        logger.warning("%s was not written: %s", name, error)
        return False
    return True


def replace_file(name: str, content: bytes) -> None:
    """Writes the file under exactly this name, which only the caller uses. Raises StorageAway."""
    put_file(name, ContentFile(content))


def put_file(name: str, content: File) -> None:  # type: ignore[type-arg]
    """As `replace_file`, from a file, piece by piece."""
    try:
        with storage_errors():
            saved = default_storage.save(name, content)
            if saved != name:  # an earlier try of the same attempt left its file there
                for left in (saved, name):
                    default_storage.delete(left)
                content.seek(0)
                default_storage.save(name, content)
    except FileNotFoundError as error:  # the folder itself is gone
        raise StorageAway(str(error)) from error


def delete_files(*names: str) -> None:
    """Deletes what is there of these names, in as few requests as the storage can; a name that is
    gone already is fine, and so is "". Raises StorageAway."""
    with storage_errors():
        _patient().delete_many([name for name in names if name])


def read_file(name: str) -> bytes:
    """The file's bytes; raises FileNotFoundError if it is gone, StorageAway if nobody can
    say."""
    with storage_errors(), default_storage.open(name) as file:
        return bytes(file.read())


def read_kept(name: str) -> bytes:
    """As `read_file`, for whoever asked for the image; raises NotFound for "" and if it is gone."""
    try:
        if name:
            return read_file(name)
    except FileNotFoundError:
        pass
    raise lost()


def lost() -> NotFound:
    """The error of an image whose file is gone."""
    return NotFound(_("This image was not found. It may have been deleted."))


def bucket_link(name: str, *, content_type: str, disposition: str, is_head: bool) -> str:
    """An address at which the bucket gives the file, or its head, for a minute; nobody asks it
    whether the file is there. Raises StorageAway if there are no keys to sign with."""
    bucket = cast("BucketStorage", default_storage)
    return bucket.link(name, content_type=content_type, disposition=disposition, is_head=is_head)


def read_pieces(name: str) -> Iterator[bytes]:
    """The file piece by piece, for a zip; raises FileNotFoundError if it is gone, StorageAway if
    nobody can say."""
    with open_file(name) as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece


@contextmanager
def open_file(name: str) -> Iterator[File]:  # type: ignore[type-arg]
    """The file, to be read piece by piece inside; raises FileNotFoundError if it is gone,
    StorageAway if nobody can say."""
    with storage_errors(), default_storage.open(name) as file:
        yield file


def has_file(name: str) -> bool:
    """Whether the file is there; raises StorageAway if nobody can say."""
    with storage_errors():
        return default_storage.exists(name)


def list_files(folder: str) -> list[ListedFile]:
    """The files right in this folder, with their sizes and times; [] if there is no such folder.
    Raises StorageAway."""
    with storage_errors():
        return _patient().list_folder(folder)


def _patient() -> PatientStorage:
    """Both of our storages are one."""
    return cast("PatientStorage", default_storage)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
