"""Images in a bucket (S3 and what speaks like it), which may hang.

Threads of the storage's own ask it: so many at once and no more, each for a bounded time. Whoever
asks waits for one of them, and while the bucket is known to be silent nobody does. Sign-in, the
studio and all else that needs no file never meet it.
"""

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    ReadTimeoutError,
)
from django.core.files.base import File
from storages.backends.s3 import S3Storage

from webapp.core.connections import let_go_of_database
from webapp.core.neighbours import STORAGE, StorageAway
from webapp.core.storages import ListedFile, PatientStorage

Words = ParamSpec("Words")
Answer = TypeVar("Answer")

AT_ONCE = 16
CONNECT_S, READ_S, TRIES = 2, 4, 2
ANSWER_S = 15.0  # both tries, and what lies between them
NOT_FOUND = 404
NAMES_AT_ONCE = 1000  # the most that one request may delete
# What says so deletes one file a request.
DELETES_ONE_BY_ONE = {"NotImplemented", "MethodNotAllowed"}
MD5_LETTERS = 32
LINK_S = 60
WHOLE_BYTES = 256 * 1024 * 1024


class BucketStorage(PatientStorage, S3Storage):  # type: ignore[misc]
    """Raises FileNotFoundError for a file that is not there, StorageAway for all else."""

    def __init__(
        self, *, public_endpoint: str = "", answer_s: float | None = None, **settings: Any
    ) -> None:
        """`answer_s` takes the place of ANSWER_S, for one whom nobody waits for."""
        bounds = Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            max_pool_connections=AT_ONCE,
            # A connection gone stale is made anew; more tries would only multiply the wait.
            retries={"total_max_attempts": TRIES, "mode": "standard"},
        )
        # Its own threads for each file, and tries of its own on top, are not needed: a file fits
        # into one request, even the largest image, and into one answer.
        transfers = TransferConfig(
            use_threads=False, num_download_attempts=1, multipart_threshold=WHOLE_BYTES
        )
        defaults = {"client_config": bounds, "transfer_config": transfers}
        self._making = threading.Lock()
        self._public_endpoint = public_endpoint
        self._own_answer_s = answer_s
        self._signer: Any = None
        super().__init__(**{**defaults, **settings})
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bucket")
        # Once, and before anybody waits: a session takes a tenth of a second of the processor.
        self._session = super()._create_session()

    @property
    def connection(self) -> Any:
        """This thread's boto3 resource: all of them share one session."""
        with self._making:
            return super().connection

    def _create_session(self) -> Any:
        return self._session

    def ask(
        self, act: Callable[Words, Answer], *words: Words.args, **options: Words.kwargs
    ) -> Answer:
        """What the bucket answers; one of the storage's own threads asks. Raises StorageAway if it
        is known to be silent, refuses, or gives no answer in time."""
        let_go_of_database()
        was_silent = STORAGE.is_silent
        if not STORAGE.is_worth_asking():
            raise StorageAway("the image storage is known not to answer")

        def ask_now() -> Answer:
            if STORAGE.is_silent and not was_silent:  # since this was asked
                raise StorageAway("the image storage has just fallen silent")
            return act(*words, **options)

        waiting = self._threads.submit(_told, ask_now)
        answer_s = self._own_answer_s or ANSWER_S
        try:
            return waiting.result(answer_s)
        except TimeoutError as error:
            waiting.cancel()
            STORAGE.fell_silent()
            raise StorageAway(f"the image storage gave no answer in {answer_s:g} s") from error

    def delete_many(self, names: Sequence[str]) -> None:
        """A thousand in each request; raises StorageAway if one of them is not deleted."""
        for first in range(0, len(names), NAMES_AT_ONCE):
            some = names[first : first + NAMES_AT_ONCE]
            left = self.ask(self._delete_some, some)
            if left is None:
                super().delete_many(some)
            elif left:
                raise StorageAway(f"{len(left)} files were not deleted: {left[0]}")

    def _delete_some(self, names: Sequence[str]) -> list[str] | None:
        """What was not deleted, and why; None if this kind of bucket deletes one file a request."""
        keys = [{"Key": self._normalize_name(name)} for name in names]
        try:
            answer = self.bucket.delete_objects(Delete={"Objects": keys, "Quiet": True})
        except ClientError as error:
            if error.response["Error"]["Code"] in DELETES_ONE_BY_ONE:
                return None
            raise
        return [f"{one['Key']}, {one['Code']}" for one in answer.get("Errors", ())]

    def link(self, name: str, *, content_type: str, disposition: str, is_head: bool) -> str:
        """An address that anyone can read the file at, or its head, for a minute, under this type
        and disposition alone. It is signed here; the bucket is not asked. Raises StorageAway if
        there are no keys to sign with."""
        words = {
            "Bucket": self.bucket_name,
            "Key": self._normalize_name(name),
            "ResponseContentType": content_type,
            "ResponseContentDisposition": disposition,
            "ResponseCacheControl": "private, no-store",
        }
        act = "head_object" if is_head else "get_object"
        try:
            return str(self._make_signer().generate_presigned_url(act, words, ExpiresIn=LINK_S))
        except BotoCoreError as error:
            raise StorageAway(str(error)) from error

    def _make_signer(self) -> Any:
        """One for all threads, made when it is first needed."""
        with self._making:
            if self._signer is None:
                self._signer = self._session.client(
                    "s3",
                    region_name=self.region_name,
                    endpoint_url=self._public_endpoint or self.endpoint_url,
                    config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
                )
            return self._signer

    def list_folder(self, folder: str) -> list[ListedFile]:
        """A thousand in each request."""
        return self.ask(lambda: list(self._list_pages(folder)))

    def _list_pages(self, folder: str) -> Iterator[ListedFile]:
        prefix = f"{self._normalize_name(folder)}/"
        pages = self.connection.meta.client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket_name, Prefix=prefix, Delimiter="/"):
            for one in page.get("Contents", ()):
                name = one["Key"].removeprefix(prefix)
                if name:
                    yield ListedFile(
                        f"{folder}/{name}", one["Size"], one["LastModified"], _md5_of(one["ETag"])
                    )

    def close(self) -> None:
        """Ends the threads, and with them their connections."""
        self._threads.shutdown(cancel_futures=True)

    def _open(self, name: str, mode: str = "rb") -> "File[Any]":
        """The whole file, in one request: what is read later is read from memory."""
        if mode != "rb":
            raise ValueError("files of a bucket are read whole, and written by save()")
        key = self._normalize_name(name.replace("\\", "/"))
        try:
            body = self.bucket.Object(key).get()["Body"].read()
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == NOT_FOUND:
                raise FileNotFoundError(f"{name} is not in the bucket") from error
            raise
        return File(io.BytesIO(body), name)


def _md5_of(tag: str) -> str:
    """An object's tag is its MD5 if it was written in one piece and is not encrypted by a key of
    the bucket's; "" if it looks like no MD5."""
    word = tag.strip('"')
    return word if len(word) == MD5_LETTERS else ""


def _told(act: Callable[[], Answer]) -> Answer:
    """The answer; what it says of the bucket is remembered. Raises StorageAway for whatever boto
    raises."""
    try:
        answer = act()
    except (ConnectTimeoutError, ReadTimeoutError) as error:
        STORAGE.fell_silent()
        raise StorageAway(str(error)) from error
    except (ClientError, BotoCoreError, Boto3Error) as error:
        STORAGE.answered()  # it refuses: that costs nobody time
        raise StorageAway(str(error)) from error
    except FileNotFoundError:
        STORAGE.answered()
        raise
    STORAGE.answered()
    return answer
