"""The database is emptied behind a test whatever a page that was left still asks for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection

from tests import emptying
from tests.emptying import empty_database
from tests.people import make_user
from webapp.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def somebody_who_reads(first: str, then: str, *, after_s: float) -> Iterator[list[BaseException]]:
    """A transaction of another session that reads one table and, a little later, another; what
    went wrong with it."""
    failures: list[BaseException] = []
    has_begun = threading.Event()

    def read() -> None:
        settings = connection.get_connection_params()
        given = {
            name: settings[name]
            for name in ("dbname", "user", "host", "port", "password")
            if settings.get(name)
        }
        try:
            with psycopg.connect(**given) as session:
                session.execute(f'SELECT FROM "{first}"')
                has_begun.set()
                session.execute("SELECT pg_sleep(%s)", [after_s])
                session.execute(f'SELECT FROM "{then}"')
        except psycopg.Error as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert has_begun.wait(10)
    yield failures
    reader.join(20)


def test_a_request_under_way_ends_before_the_tables_are_emptied() -> None:
    make_user("alice")
    # The other way round than they are emptied in: a deadlock, if nobody waited.
    with somebody_who_reads("credits_account", "accounts_user", after_s=1.5) as failures:
        empty_database(None)
    assert failures == []
    assert not User.objects.exists()


def test_a_transaction_that_nobody_ends_does_not_stop_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emptying, "QUIET_S", 0.2)
    make_user("alice")
    with somebody_who_reads("credits_account", "accounts_user", after_s=1.5) as failures:
        empty_database(None)  # one of the two is ended, and it is tried again
    assert all(isinstance(error, psycopg.errors.DeadlockDetected) for error in failures)
    assert not User.objects.exists()
