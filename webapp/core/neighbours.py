"""The other processes that this one asks, and what is remembered of their silence.

Whoever waited in vain says so; for a moment nobody else waits then, but for one who looks whether
the neighbour is back. A neighbour that refuses is no silent one: that costs nobody any time.
"""

import logging
import threading
import time

logger = logging.getLogger(__name__)

REST_S = 1.0


class Neighbour:
    """Another process that Darkroom asks, such as Valkey, and whether it is known not to answer."""

    def __init__(self, name: str, *, rest_s: float = REST_S) -> None:
        self.name = name
        self.rest_s = rest_s
        self._lock = threading.Lock()
        self._asked_again_at: float | None = None  # None: it answers, as far as is known

    @property
    def is_silent(self) -> bool:
        """Whether somebody waited in vain, and nobody was answered since."""
        return self._asked_again_at is not None

    def is_worth_asking(self) -> bool:
        """False while it is silent; then True for one asker each `rest_s`, who has to say
        `fell_silent` or `answered`."""
        if self._asked_again_at is None:
            return True
        with self._lock:
            now = time.monotonic()
            if self._asked_again_at is not None and now < self._asked_again_at:
                return False
            self._asked_again_at = now + self.rest_s
            return True

    def fell_silent(self) -> None:
        """To be called by whoever waited in vain: for `rest_s` nobody else does."""
        with self._lock:
            if self._asked_again_at is None:
                logger.error("%s does not answer: nobody waits for it now", self.name)
            self._asked_again_at = time.monotonic() + self.rest_s

    def answered(self) -> None:
        """To be called by whoever was answered, whatever the answer was."""
        if self._asked_again_at is None:
            return
        with self._lock:
            self._asked_again_at = None
        logger.warning("%s answers again", self.name)


class NeighbourAway(OSError):
    """One of them cannot be asked now; trying again may work. Pages answer 503."""


class StorageAway(NeighbourAway):
    """The image storage does not take, give or delete a file just now."""


class MailAway(NeighbourAway):
    """The mail server takes no mail just now."""


POSTGRES = Neighbour("PostgreSQL")
VALKEY = Neighbour("Valkey")
STORAGE = Neighbour("image storage", rest_s=3.0)
MAIL = Neighbour("mail server", rest_s=10.0)
ALL = (POSTGRES, VALKEY, STORAGE, MAIL)


def silent_neighbours() -> list[str]:
    """The names of those that are known not to answer now."""
    return [each.name for each in ALL if each.is_silent]
