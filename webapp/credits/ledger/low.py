"""Who was told that little is left: `Account.low_told_at`, set once per crossing.

Both functions skip accounts that somebody is posting to: the next run, a minute later, sees them.
"""

from collections.abc import Sequence

from django.db import connection, transaction

MARK_SQL = """
UPDATE credits_account SET low_told_at = statement_timestamp()
WHERE id IN (
    SELECT id FROM credits_account
    WHERE id = ANY(%s) AND low_told_at IS NULL AND posted_ucr - held_ucr < %s
    ORDER BY id FOR UPDATE SKIP LOCKED
)
RETURNING id
"""
CLEAR_SQL = """
UPDATE credits_account SET low_told_at = NULL
WHERE id IN (
    SELECT id FROM credits_account
    WHERE low_told_at IS NOT NULL AND posted_ucr - held_ucr >= %s
    ORDER BY id FOR UPDATE SKIP LOCKED
)
"""
UNMARK_SQL = "UPDATE credits_account SET low_told_at = NULL WHERE id = %s"


@transaction.atomic
def mark_low(*, account_ids: Sequence[int], threshold_ucr: int) -> list[int]:
    """Marks those accounts that have less than `threshold_ucr` available and are not marked yet.
    Returns the ids of those that this call marked: theirs to tell, and nobody else's."""
    with connection.cursor() as cursor:
        cursor.execute(MARK_SQL, [list(account_ids), threshold_ucr])
        return [account_id for (account_id,) in cursor.fetchall()]


@transaction.atomic
def clear_low(*, threshold_ucr: int) -> int:
    """Takes the mark from accounts that have enough again. Returns from how many."""
    with connection.cursor() as cursor:
        cursor.execute(CLEAR_SQL, [threshold_ucr])
        return int(cursor.rowcount)


@transaction.atomic
def unmark_low(*, account_ids: Sequence[int]) -> None:
    """Takes the mark back from accounts whose mail did not go out."""
    with connection.cursor() as cursor:
        for account_id in sorted(account_ids):
            cursor.execute(UNMARK_SQL, [account_id])
