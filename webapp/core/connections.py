"""Letting the database go while something else is waited for."""

from django.db import connection


def let_go_of_database() -> None:
    """Gives this thread's connection back before file or network work; the next query takes one
    again. Inside a transaction, which such work must never be in, nothing happens."""
    if not connection.in_atomic_block:
        connection.close()
