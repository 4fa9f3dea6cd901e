"""Where in the ledger a page begins, without counting up to it.

Transactions are only ever added, and at the end: how many stand before one of them never changes.
Every ten-thousandth is remembered with its rank, so that any page is found by a step of at most
so many rows inside an index, and the exact count is the last rank plus what came after it. What
is younger than an hour is not remembered: a transaction may still commit between them.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from webapp.credits.models import Transaction

logger = logging.getLogger(__name__)

SPACING = 10_000
SETTLED = timedelta(hours=1)
KEY = "ledger:marks"

MARKS_SQL = """
SELECT place, created_at, id FROM (
    SELECT created_at, id, row_number() OVER (ORDER BY created_at, id) AS place
    FROM credits_transaction
    WHERE (created_at, id) > (%(at)s, %(id)s) AND created_at < %(settled)s
) AS numbered WHERE place %% %(spacing)s = 0 ORDER BY place
"""
COUNT_SQL = "SELECT COUNT(*) FROM credits_transaction WHERE (created_at, id) > (%(at)s, %(id)s)"
PAGE_SQL = """
SELECT id FROM credits_transaction WHERE (created_at, id) > (%(at)s, %(id)s)
ORDER BY created_at, id OFFSET %(skip)s LIMIT %(many)s
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """A transaction, and how many there are up to it, itself included."""

    rank: int
    at: datetime
    id: int


START = Mark(0, datetime.min.replace(tzinfo=UTC), 0)


def count_transactions() -> int:
    """How many transactions there are, exactly."""
    last = _read_marks()[-1]
    with connection.cursor() as cursor:
        cursor.execute(COUNT_SQL, {"at": last.at, "id": last.id})
        return last.rank + int(cursor.fetchone()[0])


def list_transaction_ids(*, skip: int, many: int) -> list[int]:
    """The ids of at most `many` transactions after the `skip` oldest ones, oldest first."""
    mark = next(mark for mark in reversed(_read_marks()) if mark.rank <= skip)
    place: dict[str, Any] = {"at": mark.at, "id": mark.id, "skip": skip - mark.rank, "many": many}
    with connection.cursor() as cursor:
        cursor.execute(PAGE_SQL, place)
        return [row[0] for row in cursor.fetchall()]


def _read_marks() -> list[Mark]:
    """`START` and the marks, oldest first; those that are missing are made and kept."""
    known = _remembered()
    # Another database under the same Valkey (a backup was played back): all from the start.
    if len(known) > 1 and not Transaction.objects.filter(pk=known[-1].id).exists():
        known = [START]
    fresh = _make_marks(known[-1])
    if fresh:
        _remember([*known, *fresh])
    return [*known, *fresh]


def _make_marks(last: Mark) -> list[Mark]:
    settled = timezone.now() - SETTLED
    place: dict[str, Any] = {"at": last.at, "id": last.id, "spacing": SPACING, "settled": settled}
    with connection.cursor() as cursor:
        cursor.execute(MARKS_SQL, place)
        return [Mark(last.rank + number, at, pk) for number, at, pk in cursor.fetchall()]


def _remembered() -> list[Mark]:
    try:
        known: list[Mark] = cache.get(KEY, [START])
    except redis.RedisError as error:
        logger.warning("the marks of the ledger cannot be read: %s", error)
        return [START]
    return known


def _remember(marks: list[Mark]) -> None:
    try:
        cache.set(KEY, marks, None)
    except redis.RedisError as error:
        logger.warning("the marks of the ledger are not kept: %s", error)
