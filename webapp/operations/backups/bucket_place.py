"""Backups in a bucket, by the S3 API.

A bucket renames nothing, so the manifest, which is written last and deleted first, is what makes
the rest a backup.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from webapp.operations.backups import BackupError
from webapp.operations.backups.manifest import MANIFEST, NAME, is_left

CONNECT_S, READ_S, TRIES = 5, 60, 4
AT_ONCE = 16
PIECE_BYTES = 1 << 20
# A dump's size is not known before it ends, and a file has at most 10,000 pieces: 320 GB.
UPLOADED_BYTES = 32 << 20
DELETED_AT_ONCE = 1000


class BucketPlace:
    """Below `prefix` of a bucket."""

    def __init__(self, bucket: str, prefix: str, options: Mapping[str, Any]) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self.label = f"s3://{bucket}/{prefix}".rstrip("/")
        bounds = Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            max_pool_connections=AT_ONCE,
            retries={"total_max_attempts": TRIES, "mode": "standard"},
        )
        self._transfer = TransferConfig(use_threads=False, multipart_chunksize=UPLOADED_BYTES)
        with self._told():
            self._client = boto3.session.Session().client("s3", config=bounds, **options)

    def list_backups(self) -> list[str]:
        """The names of those that have a manifest, oldest first."""
        with self._told():
            return sorted(name for name in self._list_names() if self._has(f"{name}/{MANIFEST}"))

    def free_bytes(self) -> int | None:
        """None: a bucket does not say."""
        return None

    def begin(self, name: str) -> None:
        """Raises BackupError if the name is taken or the bucket refuses."""
        with self._told():
            self._client.head_bucket(Bucket=self._bucket)  # without one, no file is there either
            if self._has(f"{name}/{MANIFEST}"):
                raise BackupError(f"{self.label}/{name} is there already: say another folder.")

    def write(self, name: str, file: str, pieces: Iterable[bytes]) -> None:
        """Sends the pieces as they come."""
        with self._told():
            self._client.upload_fileobj(
                Fileobj=_Reader(pieces),
                Bucket=self._bucket,
                Key=self._key(name, file),
                Config=self._transfer,
            )

    def finish(self, name: str, manifest: bytes) -> None:
        """Writes the manifest: now it is one."""
        with self._told():
            self._client.put_object(
                Bucket=self._bucket, Key=self._key(name, MANIFEST), Body=manifest
            )

    def discard(self, name: str) -> None:
        """Deletes what is there of it; what cannot be deleted now goes with a later backup."""
        try:
            self.delete(name)
        except BackupError:
            return

    def read(self, name: str, file: str) -> Iterator[bytes]:
        """The pieces of a file as they come."""
        with self._told():
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name, file))
            yield from answer["Body"].iter_chunks(PIECE_BYTES)

    def delete(self, name: str) -> None:
        """The manifest first: what is half deleted must not be taken for a backup."""
        with self._told():
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name, MANIFEST))
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._key(name, "")
            )
            for page in pages:
                self._delete_page([each["Key"] for each in page.get("Contents", [])])

    def delete_drafts(self) -> None:
        """Deletes what was begun a day ago and has no manifest."""
        with self._told():
            left = [one for one in self._list_names() if is_left(one)]
            drafts = [name for name in left if not self._has(f"{name}/{MANIFEST}")]
        for name in drafts:
            self.delete(name)

    def close(self) -> None:
        """Lets go of the connections."""
        self._client.close()

    def _key(self, name: str, file: str) -> str:
        return f"{self._prefix}{name}/{file}"

    def _list_names(self) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix, Delimiter="/"
        )
        folders = [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", [])]
        names = [one.removeprefix(self._prefix).rstrip("/") for one in folders]
        return [name for name in names if NAME.fullmatch(name)]

    def _has(self, file: str) -> bool:
        try:
            self._client.head_object(Bucket=self._bucket, Key=f"{self._prefix}{file}")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
        return True

    def _delete_page(self, keys: list[str]) -> None:
        for first in range(0, len(keys), DELETED_AT_ONCE):
            some = [{"Key": key} for key in keys[first : first + DELETED_AT_ONCE]]
            self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": some})

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raises BackupError for what boto says of the bucket."""
        try:
            yield
        except (ClientError, BotoCoreError, ValueError) as error:
            raise BackupError(f"{self.label}: {error}") from error


class _Reader:
    """Pieces as a file that is read once, from its beginning to its end."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, fewer only at the end; b"" after it."""
        parts, missing = [], size
        while missing:
            piece = self._rest or next(self._pieces, b"")
            if not piece:
                break
            taken = piece if size < 0 else piece[:missing]
            self._rest = piece[len(taken) :]
            parts.append(taken)
            missing -= len(taken)
        return b"".join(parts)
