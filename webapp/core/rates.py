"""How often somebody may try something: counters in Valkey that forget themselves."""

import logging
import math

from django.utils.translation import ngettext
from redis.exceptions import RedisError

from webapp.core.errors import TooMany
from webapp.core.valkey import valkey

logger = logging.getLogger(__name__)

# In one step: a counter that ended meanwhile must not be made anew, without an end.
GIVE_BACK = """
if tonumber(redis.call('GET', KEYS[1]) or 0) > 0 then redis.call('DECR', KEYS[1]) end
"""


def count_attempt(*, name: str, limit: int, window_s: int) -> None:
    """Counts one attempt under `name`. Raises TooMany, with the minutes until the next one, where
    more than `limit` were made within `window_s` from the first; those count as well, but they
    never make the window longer."""
    key = f"attempts:{name}"
    # One MULTI: the counter cannot end between being made and being counted.
    with valkey().pipeline(transaction=True) as pipe:
        pipe.set(key, 0, ex=window_s, nx=True)
        pipe.incr(key)
        pipe.ttl(key)
        _made, attempts, left_s = pipe.execute()
    if attempts > limit:
        minutes = max(1, math.ceil(left_s / 60))
        sentence = ngettext(
            "That was tried too often. Try again in %(minutes)d minute.",
            "That was tried too often. Try again in %(minutes)d minutes.",
            minutes,
        )
        raise TooMany(sentence % {"minutes": minutes})


def give_back_attempt(*, name: str) -> None:
    """Takes one attempt back, of those that are still counted under `name`. What was tried has
    succeeded: it is no reason to fail that the counter can't be reached any more."""
    try:
        valkey().eval(GIVE_BACK, 1, f"attempts:{name}")
    except RedisError as error:
        logger.warning("an attempt stays counted: %s", error)
