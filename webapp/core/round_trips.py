"""Fewer waits for PostgreSQL: on a busy machine each round trip costs more than its statement."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def sent_together() -> Iterator[None]:
    """Statements executed inside are sent without waiting for one another's answers (libpq's
    pipeline mode); the first whose rows are read waits for all that were sent before it.

    A statement that fails is therefore told by a later one, or at the end of the block, as the
    same django.db error; the transaction that it stands in is lost as usual. Row counts of what
    is written inside are not known until rows are read.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield
