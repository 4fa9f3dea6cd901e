"""Restoring a backup into an empty studio.

What can be known before is checked before: whether the versions fit, whether the parts are whole,
whether anybody lives here. Then the images come, each held against its hash; files that no row
names yet harm nobody. The database comes last, in one transaction: with it the studio is there.
"""

import logging
import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.files.base import File
from django.core.management import call_command
from django.db import connection as studio

from webapp import env
from webapp.core.neighbours import StorageAway
from webapp.embedded.binaries import find_dump_program, program_major
from webapp.embedded.dumps import load
from webapp.embedded.errors import EmbeddedError
from webapp.embedded.private import open_private
from webapp.generation.storage import open_file, put_file
from webapp.operations.backups import BackupError
from webapp.operations.backups.beside import done_beside
from webapp.operations.backups.database import (
    asking,
    count_rows,
    direct_connection,
    server_major,
)
from webapp.operations.backups.fitting import (
    require_key,
    require_no_people,
    require_nobody,
    require_versions,
)
from webapp.operations.backups.manifest import (
    DATABASE,
    FILES,
    KEY,
    MANIFEST,
    MEDIA,
    Manifest,
    Measured,
    MediaFile,
    Part,
)
from webapp.operations.backups.places import Place
from webapp.operations.one_at_a_time import one_at_a_time

logger = logging.getLogger(__name__)

IN_MEMORY_BYTES = 8 << 20
EMPTY = "DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner"


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of it: the counts are the backup's, as of before later migrations."""

    manifest: Manifest
    counts: dict[str, int]
    files: int
    left_out: list[str]


class _Damaged(BackupError):
    """A file of an image is not what the list says of it."""


def read_manifest(*, place: Place, name: str) -> Manifest:
    """The manifest of a backup. Raises BackupError if there is none of that name."""
    return Manifest.from_json(b"".join(place.read(name, MANIFEST)))


def restore_backup(
    *, place: Place, name: str, leave_out_damaged: bool = False, tell: Callable[[str], None]
) -> Restored:
    """Loads the backup into this studio, which must be empty, and brings it up to this version.

    Raises BackupError; before the database is loaded nothing is lost by that, and it may be begun
    again. An image file that is damaged ends it too, unless those are to be left out.
    """
    manifest = read_manifest(place=place, name=name)
    require_versions(manifest)
    key = _check_parts(place, name, manifest)
    require_key(key)
    studio.close()
    require_nobody()
    with one_at_a_time():
        tell(f"{manifest.files} files of images are copied.")
        media = _copy_media(place, name, leave_out_damaged)
        _keep_key(key)
        tell("The database is loaded.")
        _load(place, name, manifest)
        counts = _count()
    studio.close()
    call_command("migrate", verbosity=0, interactive=False)
    return Restored(manifest, counts, *media)


def _check_parts(place: Place, name: str, manifest: Manifest) -> str:
    """Reads all but the images once; returns the secret key."""
    for file in (DATABASE, FILES, KEY):
        measured = Measured(place.read(name, file))
        for _piece in measured:
            pass
        if measured.part != manifest.parts[file]:
            raise BackupError(f"{file} of {name} is damaged: its hash is not the manifest's.")
    return b"".join(place.read(name, KEY)).decode()


def _copy_media(place: Place, name: str, leave_out_damaged: bool) -> tuple[int, list[str]]:
    """How many files there are now, and the names of those that are not."""
    copied, left_out = 0, []

    def copy(file: MediaFile) -> str:
        try:
            return "" if _copy(place, name, file) else file.name
        except _Damaged as error:
            if not leave_out_damaged:
                raise
            logger.error("%s is left out: %s", file.name, error)
            return file.name

    for lost in done_beside(copy, _read_lines(place.read(name, FILES))):
        copied += not lost
        left_out += [lost] if lost else []
    return copied, left_out


def _read_lines(pieces: Iterable[bytes]) -> Iterator[MediaFile]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from map(MediaFile.from_line, lines)
    if rest:
        yield MediaFile.from_line(rest)


def _copy(place: Place, name: str, file: MediaFile) -> bool:
    """False if the backup has none. Raises BackupError if it is not what the list says."""
    if file.part is None:
        return False
    try:
        if _is_there(file.name, file.part):
            return True
        with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as spool:
            _read_into(spool, place.read(name, f"{MEDIA}/{file.name}"), file)
            spool.seek(0)
            put_file(file.name, File(spool, file.name))
    except StorageAway as error:
        raise BackupError(f"The images can't be written: {error}") from error
    return True


def _read_into(spool: IO[bytes], pieces: Iterable[bytes], file: MediaFile) -> None:
    measured = Measured(pieces)
    try:
        spool.writelines(measured)
    except BackupError as error:  # it is not there, or can't be read
        raise _Damaged(str(error)) from error
    if measured.part != file.part:
        raise _Damaged(f"{MEDIA}/{file.name} of the backup is damaged: its hash differs.")


def _is_there(file: str, part: Part) -> bool:
    """Whether the studio has the file: a database may be lost without its images."""
    try:
        with open_file(file) as found:
            measured = Measured(found.chunks())
            for _piece in measured:
                pass
    except FileNotFoundError:
        return False
    return measured.part == part


def _load(place: Place, name: str, manifest: Manifest) -> None:
    with asking() as connection:
        major = max(server_major(connection), manifest.archive)
    try:
        program = find_dump_program("pg_restore", major=major)
        logger.info("%s is of PostgreSQL %d", program, program_major(program))
        _empty()
        conninfo, password = direct_connection()
        load(program, place.read(name, DATABASE), conninfo=conninfo, password=password)
    except EmbeddedError as error:
        raise BackupError(str(error)) from error


def _empty() -> None:
    """What `prepare` made would be in the way of what is loaded."""
    with asking() as connection:
        require_no_people(connection)  # again: somebody may have signed up since
        connection.execute(EMPTY)


def _count() -> dict[str, int]:
    with asking() as connection:
        connection.execute("ANALYZE")
        return count_rows(connection)


def _keep_key(key: str) -> None:
    """The key's file, as a first start would have made it; nothing if the environment has it."""
    if env.secret("DARKROOM_SECRET_KEY"):
        return
    path = settings.VAR.secrets / "secret_key"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = Path(f"{path}.{secrets.token_hex(4)}")
    with open(open_private(draft, os.O_EXCL), "w", encoding="ascii") as file:
        file.write(key)
    draft.replace(path)
