"""Images in a bucket (S3 and what speaks like it), which may hang.

Threads of the storage's own ask it: so many at once and no more, each for a bounded time. Whoever
asks waits for one of them, and while the bucket is known to be silent nobody does. Sign-in, the
studio and all else that needs no file never meet it.
"""

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

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
from webapp.core.storages import PatientStorage

Words = ParamSpec("Words")
Answer = TypeVar("Answer")

AT_ONCE = 16
CONNECT_S, READ_S, TRIES = 2, 4, 2
ANSWER_S = 15.0  # both tries, and what lies between them
NOT_FOUND = 404


class BucketStorage(PatientStorage, S3Storage):  # type: ignore[misc]
    """Raises FileNotFoundError for a file that is not there, StorageAway for all else."""

    def __init__(self, **settings: Any) -> None:
        bounds = Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            max_pool_connections=AT_ONCE,
            # A connection gone stale is made anew; more tries would only multiply the wait.
            retries={"total_max_attempts": TRIES, "mode": "standard"},
        )
        # Its own threads for each file, and tries of its own on top, are not needed: a file fits
        # into one answer.
        transfers = TransferConfig(use_threads=False, num_download_attempts=1)
        defaults = {"client_config": bounds, "transfer_config": transfers}
        self._making = threading.Lock()
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
        is known to be silent, refuses, or gives no answer in `ANSWER_S`."""
        let_go_of_database()
        was_silent = STORAGE.is_silent
        if not STORAGE.is_worth_asking():
            raise StorageAway("the image storage is known not to answer")

        def ask_now() -> Answer:
            if STORAGE.is_silent and not was_silent:  # since this was asked
                raise StorageAway("the image storage has just fallen silent")
            return act(*words, **options)

        waiting = self._threads.submit(_told, ask_now)
        try:
            return waiting.result(ANSWER_S)
        except TimeoutError as error:
            waiting.cancel()
            STORAGE.fell_silent()
            raise StorageAway(f"the image storage gave no answer in {ANSWER_S:g} s") from error

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


def _told(act: Callable[[], Answer]) -> Answer:
    """The answer; what it says of the bucket is remembered. Raises StorageAway for whatever boto
    raises."""
    try:
        answer = act()
    except (ConnectTimeoutError, ReadTimeoutError) as error:
        STORAGE.fell_silent()
        raise StorageAway(str(error)) from error
    except (ClientError, BotoCoreError) as error:
        STORAGE.answered()  # it refuses: that costs nobody time
        raise StorageAway(str(error)) from error
    except FileNotFoundError:
        STORAGE.answered()
        raise
    STORAGE.answered()
    return answer
