"""What is said of a picture that is not there yet: its place in the queue, and the seconds left.

The page's script says the same with the same sentences (`places.js`).
"""

from math import ceil

from django.utils.translation import gettext as _

from webapp.generation.queueing.places import Place

ORDINALS = {1: "one", 2: "two", 3: "few"}
TEENS = range(11, 14)
MINUTE_S, HOUR_S = 60, 3600
EXACT_S, ROUND_S = 10, 5


def waiting_strings() -> dict[str, str]:
    """Key to sentence, the ordinals by the kinds that English has (`Intl.PluralRules`)."""
    return {
        "place_next": _("next in line"),
        "place_one": _("{n}st in line"),
        "place_two": _("{n}nd in line"),
        "place_few": _("{n}rd in line"),
        "place_other": _("{n}th in line"),
        "place_none": _("no worker draws with this model now"),
        "about_s": _("about {n} s"),
        "about_min": _("about {n} min"),
        "about_h": _("about {n} h"),
        "left_s": _("about {n} s left"),
        "left_min": _("about {n} min left"),
        "left_h": _("about {n} h left"),
    }


def say_place(place: Place | None) -> str:
    """ "3rd in line"; "waiting" where nothing is known."""
    if place is None:
        return _("waiting")
    strings = waiting_strings()
    if place.number is None:
        return strings["place_none"]
    if place.number == 1:
        return strings["place_next"]
    return strings[f"place_{_ordinal(place.number)}"].replace("{n}", str(place.number))


def say_wait(place: Place | None) -> str:
    """ "about 40 s"; "" where nobody measured."""
    return "" if place is None or place.seconds is None else _say_seconds("about", place.seconds)


def say_left(seconds: float | None) -> str:
    """ "about 6 s left"; "" where it is not known yet."""
    return "" if seconds is None else _say_seconds("left", seconds)


def _say_seconds(start: str, seconds: float) -> str:
    unit, number = _round(seconds)
    return waiting_strings()[f"{start}_{unit}"].replace("{n}", str(number))


def _round(seconds: float) -> tuple[str, int]:
    """Upwards, and no finer than it is known."""
    if seconds <= EXACT_S:
        return "s", max(1, ceil(seconds))
    in_fives = ceil(seconds / ROUND_S) * ROUND_S
    if in_fives < MINUTE_S:
        return "s", in_fives
    if seconds <= HOUR_S - MINUTE_S:
        return "min", ceil(seconds / MINUTE_S)
    return "h", ceil(seconds / HOUR_S)


def _ordinal(number: int) -> str:
    return "other" if number % 100 in TEENS else ORDINALS.get(number % 10, "other")
