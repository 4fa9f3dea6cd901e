"""How a transactional test leaves the database: as the migrations made it.

Django empties every table and then announces a migration, whose receivers write all content types
and permissions anew: two seconds a test. Here those stay, only tables that hold rows are emptied,
and what the migrations themselves wrote is put back.
"""

import time
from functools import cache
from typing import Any

import psycopg.errors
from django.db import OperationalError, connection

KEPT = ("django_migrations", "django_content_type", "auth_permission")
FIRST_ROWS = "first_rows"  # the schema of what the migrations wrote
# A connection that a test forgot in a transaction fails the test; it must not stop the run.
LOCK_TIMEOUT = "20s"
# Requests of pages that a test has left: a table that they read and one that they wait for, emptied
# in another order, would be a deadlock, of which PostgreSQL ends either side.
QUIET_S = 5.0
TRIES = 3
BUSY = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND backend_type = 'client backend' AND state <> 'idle'"""


def remember_first_rows() -> None:
    """Keeps what the migrations wrote, once, before the first test."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {FIRST_ROWS}")
        for table in _filled(cursor):
            cursor.execute(f'CREATE TABLE {FIRST_ROWS}."{table}" AS TABLE public."{table}"')


def empty_database(_test_case: Any) -> None:
    """In place of `TransactionTestCase._fixture_teardown`."""
    with connection.cursor() as cursor:
        filled = _filled(cursor)
        if not filled:
            return
        emptied = _with_referrers(filled)
        tables = ", ".join(f'public."{table}"' for table in sorted(emptied))
        again = "".join(_put_back(table) for table in _first_tables() if table in emptied)
        _wait_until_quiet(cursor)
        _commit(cursor, f"TRUNCATE {tables}; {again}")


def _wait_until_quiet(cursor: Any) -> None:
    """Returns when nobody else is at work in the database, or after a while."""
    end_s = time.monotonic() + QUIET_S
    cursor.execute(BUSY)
    while cursor.fetchone()[0] and time.monotonic() < end_s:
        time.sleep(0.05)
        cursor.execute(BUSY)


def _commit(cursor: Any, statements: str) -> None:
    """Carries them out in one transaction, once more if that met another one's."""
    for left in reversed(range(TRIES)):
        try:
            cursor.execute(f"BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; {statements} COMMIT")
            return
        except OperationalError as error:
            cursor.execute("ROLLBACK")
            if not left or not isinstance(error.__cause__, psycopg.errors.DeadlockDetected):
                raise


def _filled(cursor: Any) -> list[str]:
    """The tables that hold rows."""
    cursor.execute(_any_rows())
    return [name for (name,) in cursor.fetchall()]


@cache
def _any_rows() -> str:
    names = [name for name in connection.introspection.table_names() if name not in KEPT]
    return " UNION ALL ".join(
        f"""SELECT '{name}' WHERE EXISTS (SELECT FROM public."{name}")"""  # noqa: S608
        for name in names
    )


def _with_referrers(tables: list[str]) -> set[str]:
    """The tables and all that refer to them: PostgreSQL empties those together or not at all."""
    found, new = set(tables), set(tables)
    while new:
        new = {source for source, target in _references() if target in new} - found
        found |= new
    return found


@cache
def _references() -> tuple[tuple[str, str], ...]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT source.relname, target.relname FROM pg_constraint"
            " JOIN pg_class source ON source.oid = conrelid"
            " JOIN pg_class target ON target.oid = confrelid WHERE contype = 'f'"
        )
        return tuple(cursor.fetchall())


@cache
def _first_tables() -> tuple[str, ...]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [FIRST_ROWS])
        return tuple(name for (name,) in cursor.fetchall())


def _put_back(table: str) -> str:
    return f'INSERT INTO public."{table}" SELECT * FROM {FIRST_ROWS}."{table}"; '  # noqa: S608
