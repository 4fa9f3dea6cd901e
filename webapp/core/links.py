"""Whole addresses of the studio's own pages, for mails: they never follow what a request says."""

from urllib.parse import urlsplit, urlunsplit

from django.conf import settings


def public_link(url: str) -> str:
    """The page of this path, or of this address of whatever host, where people reach the studio:
    under `DARKROOM_PUBLIC_URL`, or, until that is set, where it was started to be served."""
    page = urlsplit(url)
    path = urlunsplit(("", "", page.path, page.query, page.fragment))
    return f"{settings.PUBLIC_URL or settings.SERVED_AT}{path}"


def public_host() -> str:
    """The host of those addresses, with its port if it has one."""
    return urlsplit(public_link("/")).netloc
