"""How often somebody may try something: counters in Valkey that forget themselves.

While Valkey is away each process counts for itself: a limit may be met once more in each, and
nobody is kept out.
"""

import logging
import math
import threading
import time

import redis
from django.utils.translation import ngettext

from webapp.core.errors import TooMany
from webapp.core.valkey import valkey

logger = logging.getLogger(__name__)

MOST_HERE = 10_000
# In one step: a counter that ended meanwhile must not be made anew, without an end.
GIVE_BACK = """
if tonumber(redis.call('GET', KEYS[1]) or 0) > 0 then redis.call('DECR', KEYS[1]) end
"""


def count_attempt(*, name: str, limit: int, window_s: int) -> None:
    """Counts one attempt under `name`. Raises TooMany, with the minutes until the next one, if
    more than `limit` were made within `window_s` from the first; those count as well, but they
    never make the window longer."""
    try:
        attempts, left_s = _count_in_valkey(f"attempts:{name}", window_s)
    except redis.RedisError as error:
        logger.warning("attempts are counted in this process only: %s", error)
        attempts, left_s = _here.count(name, window_s)
    if attempts > limit:
        minutes = max(1, math.ceil(left_s / 60))
        sentence = ngettext(
            "Too many attempts. Try again in %(minutes)d minute.",
            "Too many attempts. Try again in %(minutes)d minutes.",
            minutes,
        )
        raise TooMany(sentence % {"minutes": minutes})


def give_back_attempt(*, name: str) -> None:
    """Takes one attempt back, of those that are still counted under `name`. What was tried has
    succeeded: it is no reason to fail that the counter can't be reached any more."""
    try:
        valkey().eval(GIVE_BACK, 1, f"attempts:{name}")
    except redis.RedisError as error:
        logger.warning("an attempt stays counted in Valkey: %s", error)
        _here.give_back(name)


def _count_in_valkey(key: str, window_s: int) -> tuple[int, float]:
    """Attempts by now, and the seconds until they are forgotten."""
    # One MULTI: the counter cannot end between being made and being counted.
    with valkey().pipeline(transaction=True) as pipe:
        pipe.set(key, 0, ex=window_s, nx=True)
        pipe.incr(key)
        pipe.ttl(key)
        _made, attempts, left_s = pipe.execute()
    return attempts, left_s


class _Counters:
    """The same in this process; the oldest are forgotten if there are too many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[str, tuple[float, int]] = {}  # name -> its window's end, attempts

    def count(self, name: str, window_s: float) -> tuple[int, float]:
        """Attempts by now, and the seconds until they are forgotten."""
        now = time.monotonic()
        with self._lock:
            ends, attempts = self._counted.pop(name, (0.0, 0))
            if ends <= now:
                ends, attempts = now + window_s, 0
            self._counted[name] = (ends, attempts + 1)
            if len(self._counted) > MOST_HERE:
                del self._counted[next(iter(self._counted))]
        return attempts + 1, ends - now

    def give_back(self, name: str) -> None:
        """Takes one attempt back, if one is counted."""
        with self._lock:
            ends, attempts = self._counted.get(name, (0.0, 0))
            if attempts:
                self._counted[name] = (ends, attempts - 1)


_here = _Counters()
