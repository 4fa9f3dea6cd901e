"""What makes or fills a database is done by one process at a time: `prepare`, and a restore.

The lock is a transaction's, on a connection of its own: PgBouncer would leave a session's with a
connection that is anybody's, and the next start would wait for ever.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, connections

LOCK_ID = 7_263_405_118  # any number that nobody else takes in this database


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Waits until no other process is inside of this block with this database."""
    holder = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        holder.set_autocommit(False)
        with holder.cursor() as cursor:
            # It says nothing for as long as the others' work takes.
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_ID])
        yield
    finally:
        holder.close()  # whose transaction ends, and with it the lock
