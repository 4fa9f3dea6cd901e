"""How often somebody may try something: counters in Valkey that forget themselves."""

import math

from django.utils.translation import ngettext

from webapp.core.errors import TooMany
from webapp.core.valkey import valkey


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
