"""Making a backup while the studio runs.

First the database, as it is at one moment; then the files that its rows name. Images that are drawn
later are in neither. A file that is deleted in between (somebody emptied their bin) is written down
as gone. The manifest comes last, and then the backup gets its name.
"""

import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO

from django.conf import settings
from django.core.files.base import File

import webapp
from webapp.core.neighbours import StorageAway
from webapp.generation.storage import open_file
from webapp.operations.backups import BackupError
from webapp.operations.backups.beside import done_beside
from webapp.operations.backups.database import Snapshot, frozen
from webapp.operations.backups.manifest import (
    DATABASE,
    FILES,
    KEY,
    MEDIA,
    Manifest,
    Measured,
    MediaFile,
    Part,
    name_of,
)
from webapp.operations.backups.places import Place

logger = logging.getLogger(__name__)

GIGABYTE = 1_000_000_000
NOTHING = Part(0, "")
SMALL_COPIES = 1.2  # thumbnails and strips, beside the images


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that is whole."""

    name: str
    manifest: Manifest
    took_s: float


def make_backup(*, place: Place) -> Made:
    """Writes a backup of the studio as it is now. Raises BackupError; then nothing of it is left
    but what could not be removed, which never is taken for a backup."""
    started, at = time.monotonic(), datetime.now(UTC)
    name = name_of(at)
    with tempfile.TemporaryFile() as names, _begun(place, name):
        with frozen() as snapshot:
            _require_room(place, snapshot)
            names.writelines(f"{one}\n".encode() for one in snapshot.media_names())
            with snapshot.archive_pieces() as pieces:
                dump = _write(place, name, DATABASE, pieces)
        key = _write(place, name, KEY, [settings.SECRET_KEY.encode()])
        media = _write_media(place, name, names)
        parts = {DATABASE: dump, KEY: key, FILES: media.lines}
        manifest = _describe(at, snapshot, media, parts)
        place.finish(name, manifest.as_json())
    return Made(name, manifest, time.monotonic() - started)


def prune(*, place: Place, keep: int) -> list[str]:
    """Deletes all but the newest, and what was left half written for a day. Returns the names of
    those that were deleted. Raises BackupError."""
    place.delete_drafts()
    old = place.list_backups()[:-keep]
    for name in old:
        place.delete(name)
    return old


@dataclass(slots=True)
class _Media:
    """What was written of the files: the list's own part, and its sums."""

    lines: Part = NOTHING
    files: int = 0
    size_bytes: int = 0
    gone: int = 0


@contextmanager
def _begun(place: Place, name: str) -> Iterator[None]:
    place.begin(name)
    try:
        yield
    except BaseException:
        place.discard(name)
        raise


def _require_room(place: Place, snapshot: Snapshot) -> None:
    free_bytes = place.free_bytes()
    wanted_bytes = snapshot.database_bytes + int(SMALL_COPIES * snapshot.media_bytes)
    if free_bytes is not None and free_bytes < wanted_bytes:
        raise BackupError(
            f"{place.label} has {free_bytes / GIGABYTE:.2f} GB free, and the backup may need"
            f" {wanted_bytes / GIGABYTE:.2f} GB."
        )


def _write(place: Place, name: str, file: str, pieces: Iterable[bytes]) -> Part:
    measured = Measured(pieces)
    place.write(name, file, measured)
    return measured.part


def _write_media(place: Place, name: str, names: IO[bytes]) -> _Media:
    """Copies each file, and writes its line."""
    media = _Media()
    names.seek(0)
    copied = done_beside(_copy_to(place, name), (line.decode().rstrip("\n") for line in names))
    media.lines = _write(place, name, FILES, _note(copied, media))
    return media


def _copy_to(place: Place, name: str) -> Callable[[str], MediaFile]:
    def copy(file: str) -> MediaFile:
        try:
            with open_file(file) as source:
                return MediaFile(file, _write(place, name, f"{MEDIA}/{file}", _read(file, source)))
        except FileNotFoundError:
            logger.warning("%s is gone, and not in the backup", file)
            return MediaFile(file, None)
        except StorageAway as error:
            raise BackupError(f"The images can't be read: {error}") from error

    return copy


def _read(file: str, source: "File[bytes]") -> Iterator[bytes]:
    try:
        yield from source.chunks()
    except OSError as error:
        raise BackupError(f"The image file {file} can't be read: {error}") from error


def _note(copied: Iterable[MediaFile], media: _Media) -> Iterator[bytes]:
    """The lines, counted into `media` as they pass."""
    for one in copied:
        media.files += one.part is not None
        media.size_bytes += one.part.size_bytes if one.part else 0
        media.gone += one.part is None
        yield one.as_line()


def _describe(at: datetime, snapshot: Snapshot, media: _Media, parts: dict[str, Part]) -> Manifest:
    return Manifest(
        made_at=at.isoformat(timespec="seconds"),
        darkroom=webapp.__version__,
        postgres=snapshot.postgres,
        archive=snapshot.archive,
        migrations=snapshot.migrations,
        counts=snapshot.counts,
        images=snapshot.images,
        posted_ucr=snapshot.posted_ucr,
        held_ucr=snapshot.held_ucr,
        files=media.files,
        files_bytes=media.size_bytes,
        gone=media.gone,
        parts=parts,
    )
