"""Every address of the studio, enumerated from the URLconf."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver


@dataclass(frozen=True)
class Address:
    """One URL pattern: its name (with its namespace), what it is written like, and its view."""

    name: str
    route: str
    callback: Callable[..., Any]


def list_addresses() -> list[Address]:
    """All of them; one that has no name goes by its route."""
    return list(_walk(get_resolver().url_patterns, namespace="", prefix=""))


def _walk(
    patterns: Sequence[URLPattern | URLResolver], *, namespace: str, prefix: str
) -> Iterator[Address]:
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from _walk(pattern.url_patterns, namespace=inner, prefix=route)
        else:
            yield Address(f"{namespace}{pattern.name or route}", route, pattern.callback)
