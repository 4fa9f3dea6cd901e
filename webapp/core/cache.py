"""Django's cache in Valkey, and in this process's memory while Valkey is away.

What is kept there can be lost at any time, so a page never waits for it. The rate limits of
sign-in count in it: while Valkey is away each process counts for itself.
"""

import logging
from typing import Any

import redis
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache, RedisCacheClient

logger = logging.getLogger(__name__)

MOST_ENTRIES = 10_000


class EitherClient:
    """Does everything in Valkey, and here if that does not answer."""

    def __init__(self, servers: list[str], **options: Any) -> None:
        self.valkey = RedisCacheClient(servers, **options)
        self.here = LocMemCache("while Valkey is away", {"OPTIONS": {"MAX_ENTRIES": MOST_ENTRIES}})

    def __getattr__(self, name: str) -> Any:
        """A method that both have: `get`, `set`, `add`, `incr` and so on."""
        if name.startswith("_"):
            raise AttributeError(name)

        def act(*words: Any, **options: Any) -> Any:
            try:
                return getattr(self.valkey, name)(*words, **options)
            except redis.RedisError as error:
                logger.warning("the cache is in this process only: %s", error)
                return getattr(self.here, name)(*words, **options)

        return act


class ValkeyCache(RedisCache):
    """The cache of the settings: a RedisCache whose client is `EitherClient`."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = EitherClient
