"""Typed readers of environment variables; a wrong value stops the start with the variable's name.

Every reader is called with a literal name, so that the settings table of the README and
`.env.example` can be tested against this package's sources.
"""

import os
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from webapp.core.digits import read_decimal, read_whole

TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off", ""}


def text(name: str, default: str = "") -> str:
    """The variable's value, or `default` if it is unset or empty."""
    return os.environ.get(name, "") or default


def secret(name: str) -> str:
    """The value of `NAME`, or the content of the file that `NAME_FILE` names; "" without both.

    Raises ImproperlyConfigured if the file cannot be read.
    """
    if value := text(name):
        return value
    path = text(f"{name}_FILE")
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE={path!r} cannot be read: {error}") from error


def address(name: str) -> str:
    """An address to send to, or the content of the file that `NAME_FILE` names; "" without both.
    Raises ImproperlyConfigured if it does not begin with https:// or http://; it may be a secret,
    and is not repeated."""
    value = secret(name)
    if value and not value.startswith(("https://", "http://")):
        raise ImproperlyConfigured(f"{name}: say an address that begins with https://.")
    return value


def boolean(name: str, default: bool) -> bool:
    """True or False; raises ImproperlyConfigured for any other word."""
    value = os.environ.get(name)
    if value is None:
        return default
    if value.lower() in TRUE_WORDS:
        return True
    if value.lower() in FALSE_WORDS:
        return False
    raise ImproperlyConfigured(f"{name}={value!r}: say true or false.")


def integer(name: str, default: int, *, minimum: int, maximum: int) -> int:
    """A whole number within both bounds; raises ImproperlyConfigured for anything else."""
    value = text(name, str(default))
    try:
        number = read_whole(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={value!r}: say a whole number.") from error
    if not minimum <= number <= maximum:
        raise ImproperlyConfigured(f"{name}={value!r}: {minimum} to {maximum} is allowed.")
    return number


def decimal(name: str, default: str, *, minimum: Decimal, maximum: Decimal) -> Decimal:
    """A decimal number with at most six places, within both bounds. Raises ImproperlyConfigured
    with one sentence for anything else."""
    value = text(name, default)
    try:
        number = read_decimal(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={value!r}: say a decimal number.") from error
    if number != round(number, 6):
        raise ImproperlyConfigured(f"{name}={value!r}: at most six decimals are allowed.")
    if not minimum <= number <= maximum:
        raise ImproperlyConfigured(f"{name}={value!r}: {minimum} to {maximum} is allowed.")
    return number


def words(name: str, default: str = "") -> list[str]:
    """The comma-separated parts of the variable, without blanks."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    """The comma-separated addresses and networks (10.0.0.0/8); raises ImproperlyConfigured for what
    is neither."""
    found = words(name)
    try:
        return [ip_network(word) for word in found]
    except ValueError as error:
        sentence = "say IP addresses or networks, such as 10.0.0.5,10.1.0.0/16."
        raise ImproperlyConfigured(f"{name}={','.join(found)!r}: {sentence}") from error


def choice(name: str, default: str, *, allowed: set[str]) -> str:
    """One of `allowed`; raises ImproperlyConfigured that lists them otherwise."""
    value = text(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name}={value!r}: one of {', '.join(sorted(allowed))}.")
    return value
