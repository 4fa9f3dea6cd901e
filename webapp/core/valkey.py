"""The process's connections to Valkey: events, cancellation flags, heartbeats, counters, the cache.

Whoever asks it holds no database connection meanwhile, waits a bounded time, and not at all while
it is known to be silent: then redis.TimeoutError comes at once.
"""

from functools import cache
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from webapp.core.connections import let_go_of_database
from webapp.core.neighbours import VALKEY

TIMEOUT_S = 1.0


class WatchedPool(redis.ConnectionPool):
    """The pool of everything that asks Valkey; Django's cache has one of its own."""

    def __init__(
        self, connection_class: type[redis.Connection] = redis.Connection, **options: Any
    ) -> None:
        bounds = {
            "socket_timeout": TIMEOUT_S,
            "socket_connect_timeout": TIMEOUT_S,
            # Once, and at once: for a connection gone stale. A timeout is never waited for twice.
            "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        }
        super().__init__(connection_class=_watched(connection_class), **{**bounds, **options})

    def get_connection(self, *words: Any, **options: Any) -> redis.Connection:
        """A connection that is connected; raises redis.RedisError."""
        let_go_of_database()
        if not VALKEY.is_worth_asking():
            raise redis.TimeoutError("Valkey is known not to answer")
        return super().get_connection(*words, **options)


@cache
def valkey() -> "redis.Redis":
    """The process's client; thread-safe."""
    pool = WatchedPool.from_url(settings.REDIS_URL, decode_responses=True)
    return redis.Redis(connection_pool=pool)


def _watched(kind: type[redis.Connection]) -> type[redis.Connection]:
    """The kind that the URL asks for (a port, TLS, a Unix socket), telling what it sees."""

    class Watched(kind):  # type: ignore[misc,valid-type]
        def connect(self) -> None:
            with _watching():
                super().connect()

        def read_response(self, *words: Any, **options: Any) -> Any:
            with _watching():
                return super().read_response(*words, **options)

    return Watched


class _watching:  # noqa: N801 - a context manager, without a generator's cost on each command
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind is None or not issubclass(kind, redis.RedisError):
            VALKEY.answered()
        elif issubclass(kind, redis.TimeoutError):
            VALKEY.fell_silent()
