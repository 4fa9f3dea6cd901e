"""The one reader of numbers, for every door: forms, addresses, JSON, CSV, settings, commands.

Python's own `int`, `float` and `Decimal` take more than people mean by a number: "1_0", the digits
of other scripts, "1e3", "nan", and spaces that nobody sees. Here a number is ASCII digits, perhaps
behind a sign and around a point. Django is not needed, so that the settings can read theirs.
"""

import argparse
import math
import re
from datetime import date, datetime
from decimal import Decimal

WHOLE = re.compile("[+-]?[0-9]{1,40}")
NUMBER = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})")
DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
BLANKS = " \t\r\n"


def read_whole(value: object) -> int:
    """The whole number that a text writes, or that a JSON body brought as one; raises ValueError
    for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = _text(value)
    if not WHOLE.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a whole number")
    return int(text)


def read_decimal(value: object) -> Decimal:
    """The number that a text writes, or that a JSON body brought as one; raises ValueError for
    anything else, infinity and NaN among it."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _finite(Decimal(value))
    if isinstance(value, float):
        return _finite(Decimal(repr(value)))
    text = _text(value)
    if not NUMBER.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a number")
    return Decimal(text)


def read_float(value: object) -> float:
    """As `read_decimal`, for what is computed as a float. Raises ValueError also for a number that
    no float can hold."""
    number = float(read_decimal(value))
    if not math.isfinite(number):
        raise ValueError("the number is too large")
    return number


def read_day(text: str) -> date:
    """The day of a text like 2026-01-31; raises ValueError for anything else."""
    if not DAY.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a day")
    return date.fromisoformat(text)


def read_moment(text: str) -> datetime:
    """The moment that `datetime.isoformat` wrote, with its time zone; raises ValueError for
    anything else."""
    if not text.isascii():
        raise ValueError("not a moment")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment without its time zone")
    return moment


def whole_argument(text: str) -> int:
    """`read_whole` for `type=` of a command's argument. Raises ArgumentTypeError, whose words
    argparse prints."""
    try:
        return read_whole(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{type(value).__name__} is not a number")
    return value.strip(BLANKS)


def _finite(number: Decimal) -> Decimal:
    if not number.is_finite():
        raise ValueError(f"{number} is not a number")
    return number
