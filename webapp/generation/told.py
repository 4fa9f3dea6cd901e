"""How places and seconds are told: which sentence, and the number in it. The server's pages and the
scripts fill them in (`live/strings.py`, `places.js`).
"""

from math import ceil

ORDINALS = {1: "one", 2: "two", 3: "few"}
TEENS = range(11, 14)
MINUTE_S, HOUR_S = 60, 3600
EXACT_S, ROUND_S = 10, 5


def place_sentence(number: int | None) -> str:
    """The key of the sentence for a place in line, the ordinals by the kinds that English has."""
    if number is None:
        return "place_none"
    return "place_next" if number == 1 else f"place_{_ordinal(number)}"


def seconds_sentence(start: str, seconds: float | None) -> tuple[str, int] | None:
    """The key, which begins with "about" or "left", and the number, rounded upwards and no finer
    than it is known: ("left_min", 3). None where the seconds are not known."""
    if seconds is None:
        return None
    in_fives = ceil(seconds / ROUND_S) * ROUND_S
    if seconds <= EXACT_S:
        return f"{start}_s", max(1, ceil(seconds))
    if in_fives < MINUTE_S:
        return f"{start}_s", in_fives
    if seconds <= HOUR_S - MINUTE_S:
        return f"{start}_min", ceil(seconds / MINUTE_S)
    return f"{start}_h", ceil(seconds / HOUR_S)


def _ordinal(number: int) -> str:
    return "other" if number % 100 in TEENS else ORDINALS.get(number % 10, "other")
