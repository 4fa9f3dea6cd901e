"""Letting the database go while something else is waited for, and asking it for the time."""

from datetime import datetime

from django.db import connection


def let_go_of_database() -> None:
    """Gives this thread's connection back before file or network work; the next query takes one
    again. Inside a transaction, which such work must never be in, nothing happens."""
    if not connection.in_atomic_block:
        connection.close()


def database_now() -> datetime:
    """The time by the one clock that all hosts share."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now
