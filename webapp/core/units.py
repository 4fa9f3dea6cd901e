"""Micro-credits inside, decimal strings outside."""

from decimal import Decimal

CREDIT_PLACES = 6
UCR_PER_CREDIT = 1_000_000


def to_ucr(credits: Decimal) -> int:
    """Whole micro-credits; raises ValueError if more than six decimals would be lost."""
    amount = credits * UCR_PER_CREDIT
    if amount != amount.to_integral_value():
        raise ValueError(f"{credits} credits is finer than a micro-credit")
    return int(amount)


def format_credits(amount_ucr: int) -> str:
    """A decimal string with at least two and at most six places: 200_000 -> "0.20"."""
    sign = "-" if amount_ucr < 0 else ""
    whole, fraction = divmod(abs(amount_ucr), UCR_PER_CREDIT)
    places = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{places}"
