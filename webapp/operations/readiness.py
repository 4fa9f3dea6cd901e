"""Whether the studio can do its work now, part by part.

Every part is asked for a bounded time, and all of them at most once a second for each process,
however often somebody wants to know.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import redis
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from webapp.core.connections import let_go_of_database
from webapp.core.neighbours import StorageAway
from webapp.core.valkey import valkey
from webapp.generation.queueing.heartbeat import hear_workers
from webapp.generation.storage import has_file
from webapp.operations.audit import get_books_state
from webapp.postgres.limits import HEALTH_S, answers_within

logger = logging.getLogger(__name__)

KEPT_S = 1.0
STORAGE_S = 2.0
NO_FILE = "probe/readiness"  # is never written: that the storage can say so is enough
OK, AWAY, UNKNOWN = "ok", "away", "unknown"


@dataclass(frozen=True, slots=True)
class Readiness:
    """One word for each part, in the order in which they lean on each other, and what the newest
    check of the ledger said: `clean`, `violated`, or `unchecked` if none ran for two days."""

    parts: Mapping[str, str]
    books: str

    @property
    def is_ready(self) -> bool:
        """Whether every part is well. The ledger does not count: a fault in it needs a person, and
        taking the studio out of service would help nobody."""
        return all(word == OK for word in self.parts.values())


class ReadinessWatch:
    """Asks `look` anew when its last answer is older than a second; who comes meanwhile waits for
    the one who asks."""

    def __init__(self, look: Callable[[], Readiness]) -> None:
        self._look = look
        self._looking = threading.Lock()
        self._known: tuple[float, Readiness] | None = None

    def read(self) -> Readiness:
        """How it is, as of at most a second ago."""
        with self._looking:
            if self._known is None or time.monotonic() - self._known[0] > KEPT_S:
                found = self._look()
                self._known = (time.monotonic(), found)
            return self._known[1]

    def forget(self) -> None:
        """Has the next one ask anew."""
        with self._looking:
            self._known = None


def look() -> Readiness:
    """How every part is now; takes at most the sum of their time limits, about five seconds."""
    database, migrations, books = _look_at_database()
    let_go_of_database()
    parts = {
        "database": database,
        "migrations": migrations,
        "broker": _look_at_broker(),
        "storage": _storage.look(),
        "worker": _look_for_worker(),
    }
    return Readiness(parts, books)


def _look_at_database() -> tuple[str, str, str]:
    """The words for the database, its migrations and the ledger."""
    try:
        with answers_within(HEALTH_S):
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            is_migrated = _last_migrations() <= set(
                MigrationRecorder(connection).applied_migrations()
            )
            return OK, OK if is_migrated else "pending", get_books_state()
    except DatabaseError as error:
        logger.error("the database is not ready: %s", error)
        return AWAY, UNKNOWN, UNKNOWN


@cache
def _last_migrations() -> frozenset[tuple[str, str]]:
    """The newest migration of each app that this process's code has. Later ones, of a newer version
    beside it, are none of its business."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


def _look_at_broker() -> str:
    try:
        valkey().ping()
    except redis.RedisError as error:
        logger.error("the broker is not ready: %s", error)
        return AWAY
    return OK


def _look_for_worker() -> str:
    workers = hear_workers()
    if workers is None:
        return UNKNOWN
    return OK if workers else "none"


class StorageProbe:
    """Asks the storage in a thread of its own, which may hang: a disk across a network has no time
    limit. While it does nobody asks again."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="storage probe")
        self._asked: Future[bool] | None = None

    def look(self) -> str:
        """`ok` if the storage can say that a file is not there, `away` if not, or not in time."""
        hangs = self._asked is not None and not self._asked.done()
        if self._asked is None or not hangs:
            self._asked = self._thread.submit(has_file, NO_FILE)
        try:
            self._asked.result(0 if hangs else STORAGE_S)
        except (StorageAway, TimeoutError) as error:
            logger.error("the storage is not ready: %s", error or "no answer")
            return AWAY
        return OK


_storage = StorageProbe()
studio = ReadinessWatch(look)
