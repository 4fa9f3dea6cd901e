"""What the studio's database says, read in one snapshot around the proxy."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from webapp.operations.invariants import INVARIANTS

IMAGES_SQL = """
SELECT i.id::text, u.email, g.idempotency_key, g.price_each_ucr, i.state, i.file, i.thumbnail,
    i.strip, i.sha256, i.attempt, i.failure_code, i.created_at, i.finished_at
FROM generation_image i JOIN generation_generation g ON g.id = i.generation_id
JOIN accounts_user u ON u.id = i.owner_id"""
HOLDS_SQL = "SELECT image_id::text, amount_ucr, state, account_id FROM credits_hold"
ENTRIES_SQL = """
SELECT e.account_id, u.email, e.kind, e.amount_ucr, e.image_id::text, t.idempotency_key
FROM credits_entry e JOIN credits_account a ON a.id = e.account_id AND a.kind = 'user'
JOIN credits_transaction t ON t.id = e.transaction_id
LEFT JOIN accounts_user u ON u.id = a.user_id"""
POSTED_SQL = """
SELECT a.id, u.email, a.posted_ucr FROM credits_account a
LEFT JOIN accounts_user u ON u.id = a.user_id WHERE a.kind = 'user'"""
UPLOADS_SQL = "SELECT file FROM generation_upload"
DISCARDED_SQL = "SELECT name FROM generation_discardedfile"
NOW_SQL = "SELECT clock_timestamp()"


class Cursor(Protocol):
    """What psycopg's cursors and Django's have in common."""

    def execute(self, query: Any) -> Any:
        """Asks."""

    def fetchall(self) -> Sequence[Any]:
        """Every row."""


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image, with the key and the price of its generation."""

    id: str
    email: str
    key: str
    each_ucr: int
    state: str
    file: str
    thumbnail: str
    strip: str
    sha256: str
    attempt: int
    failure_code: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class HoldRow:
    """What is or was held for an image."""

    image_id: str
    amount_ucr: int
    state: str
    account_id: int


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A line on a user's account; `email` is None once the account is closed."""

    account_id: int
    email: str | None
    kind: str
    amount_ucr: int
    image_id: str | None
    key: str


@dataclass(slots=True)
class Facts:
    """One snapshot. `violated` are the sentences of the product's own invariants."""

    images: dict[str, ImageRow]
    holds: dict[str, HoldRow]
    entries: list[EntryRow]
    posted: list[tuple[int, str | None, int]] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)
    violated: list[str] = field(default_factory=list)
    now: datetime | None = None


def read_facts(cursor: Cursor) -> Facts:
    """Everything that the oracle looks at. The caller's transaction must be one snapshot
    (REPEATABLE READ), so that all of it is of one moment."""
    return Facts(
        images={row[0]: ImageRow(*row) for row in _rows(cursor, IMAGES_SQL)},
        holds={row[0]: HoldRow(*row) for row in _rows(cursor, HOLDS_SQL)},
        entries=[EntryRow(*row) for row in _rows(cursor, ENTRIES_SQL)],
        posted=[(row[0], row[1], row[2]) for row in _rows(cursor, POSTED_SQL)],
        uploads=[row[0] for row in _rows(cursor, UPLOADS_SQL)],
        discarded=[row[0] for row in _rows(cursor, DISCARDED_SQL)],
        violated=list(_violated(cursor)),
        now=_rows(cursor, NOW_SQL)[0][0],
    )


def _rows(cursor: Cursor, query: str) -> Sequence[Any]:
    cursor.execute(query)
    return cursor.fetchall()


def _violated(cursor: Cursor) -> list[str]:
    return [
        f"{code}: {sentence.format(*row)}"
        for code, (sentence, query) in INVARIANTS.items()
        for row in _rows(cursor, query)
    ]
