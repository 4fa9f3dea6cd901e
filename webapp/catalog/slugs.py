"""Short names for URLs, queues and prompts."""

import re
from collections.abc import Collection, Sequence
from itertools import chain, count
from typing import Final

MOST: Final = 64
ROOM_FOR_NUMBER: Final = 60


def slug_of(name: str) -> str:
    """Lower case, and a dash for whatever is no letter of a to z, digit or dot; "" if none is."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")[:MOST]


def free_slug(names: Sequence[str], *, taken: Collection[str], otherwise: str) -> str:
    """The first name's slug that is not taken; with a number if all are. `otherwise` is for names
    that have no slug."""
    wanted = [slug for slug in map(slug_of, names) if slug] or [otherwise]
    numbered = (f"{wanted[-1][:ROOM_FOR_NUMBER]}-{number}" for number in count(2))
    return next(slug for slug in chain(wanted, numbered) if slug not in taken)
