"""Where backups lie: below a folder, or in a bucket.

A backup is a folder of its own there. While it is written it is not one: in a folder it has another
name, in a bucket it has no manifest yet. What was left half written is never listed, and goes when
the next backup is made.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from django.conf import settings

from webapp.operations.backups import BackupError
from webapp.operations.backups.bucket_place import BucketPlace
from webapp.operations.backups.folder_place import FolderPlace
from webapp.operations.backups.manifest import NAME

BUCKET = "s3://"


class Place(Protocol):
    """What can be done with a place. Everything raises BackupError with one sentence."""

    label: str

    def list_backups(self) -> list[str]:
        """The names of the whole ones, oldest first."""

    def free_bytes(self) -> int | None:
        """How much can be written there; None if nobody can say."""

    def begin(self, name: str) -> None:
        """Begins a backup of that name; it has to be a new one."""

    def write(self, name: str, file: str, pieces: Iterable[bytes]) -> None:
        """Writes a file of the backup that is begun."""

    def finish(self, name: str, manifest: bytes) -> None:
        """Makes what was written a backup."""

    def discard(self, name: str) -> None:
        """Removes what was written of one that was begun and not finished."""

    def read(self, name: str, file: str) -> Iterator[bytes]:
        """A file of a whole backup."""

    def delete(self, name: str) -> None:
        """Deletes a whole backup."""

    def delete_drafts(self) -> None:
        """Deletes what was begun and never finished."""

    def close(self) -> None:
        """Lets go of connections."""


def place_at(address: str) -> Place:
    """The place for `s3://bucket/folder`, or a folder. Raises BackupError for any other address."""
    if address.startswith(BUCKET):
        bucket, _slash, prefix = address.removeprefix(BUCKET).partition("/")
        if not bucket:
            raise BackupError(f"{address} names no bucket: say s3://bucket or s3://bucket/folder.")
        options = {
            "endpoint_url": settings.S3_ENDPOINT or None,
            "region_name": settings.S3_REGION or None,
            "aws_access_key_id": settings.S3_ACCESS_KEY or None,
            "aws_secret_access_key": settings.S3_SECRET_KEY or None,
        }
        return BucketPlace(bucket, prefix.strip("/"), options)
    if "://" in address:
        raise BackupError(
            f"{address} is no place for backups: say a folder, or s3://bucket/folder."
        )
    return FolderPlace(Path(address).expanduser().absolute())


def split_address(address: str) -> tuple[str, str]:
    """The place and the name of the backup that an address names; "" for the name if it names a
    place alone."""
    place, _slash, name = address.rstrip("/").rpartition("/")
    return (place or ".", name) if NAME.fullmatch(name) else (address, "")
