"""The admin site: people with their credits, the ledger (read-only), the catalog, the queue."""

from webapp.operations.admin import (
    audit_log,
    books,
    catalog,
    codes,
    dashboard,
    groups,
    invitations,
    people,
    prices,
    queue,
    requests,
    topups,
)

__all__ = [
    "audit_log",
    "books",
    "catalog",
    "codes",
    "dashboard",
    "groups",
    "invitations",
    "people",
    "prices",
    "queue",
    "requests",
    "topups",
]
