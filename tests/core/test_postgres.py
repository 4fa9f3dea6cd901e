"""The pool and its connections, on a PostgreSQL that is stopped, restarted and told to forget
everybody."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from django.db import OperationalError, connections

from webapp.core import neighbours
from webapp.core.neighbours import POSTGRES
from webapp.postgres import base
from webapp.postgres.connections import BoundedConnection, Pool
from webapp.postgres.limits import answers_within

HERE_S = 0.5


@pytest.fixture(autouse=True)
def _postgres_is_known_to_answer() -> Iterator[None]:
    POSTGRES.answered()
    yield
    POSTGRES.answered()


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(connect, most=4, wait_s=HERE_S)
    yield made
    made.close()


def connect() -> BoundedConnection:
    return BoundedConnection.connect(os.environ["DATABASE_URL"], autocommit=True)


def pid_of(connection: BoundedConnection) -> int:
    return connection.info.backend_pid


def take(pool: Pool, count: int) -> list[BoundedConnection]:
    return [pool.getconn() for _one in range(count)]


def give_back(pool: Pool, *taken: BoundedConnection) -> None:
    for connection in taken:
        pool.putconn(connection)


def end_on_the_server(*pids: int) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
        for pid in pids:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """The server's processes of these connections, which answer nothing meanwhile."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_connection_that_came_back_is_used_again(pool: Pool) -> None:
    first = pool.getconn()
    pid = pid_of(first)
    give_back(pool, first)
    again = pool.getconn()
    assert pid_of(again) == pid
    give_back(pool, again)


def test_connections_that_the_server_ended_are_replaced_unseen_and_at_once(pool: Pool) -> None:
    taken = take(pool, 4)
    pids = [pid_of(one) for one in taken]
    give_back(pool, *taken)
    end_on_the_server(*pids)
    began = time.monotonic()
    for _turn in range(8):
        connection = pool.getconn()
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert pid_of(connection) not in pids
        give_back(pool, connection)
    assert time.monotonic() - began < HERE_S


def test_a_connection_that_was_given_back_in_a_transaction_is_rolled_back(pool: Pool) -> None:
    connection = pool.getconn()
    connection.execute("BEGIN")
    connection.execute("CREATE TEMPORARY TABLE left_behind ()")
    give_back(pool, connection)
    again = pool.getconn()
    assert again.execute("SELECT to_regclass('left_behind')").fetchone() == (None,)
    give_back(pool, again)


def test_without_a_free_connection_one_waits_for_a_bounded_time(pool: Pool) -> None:
    taken = take(pool, 4)
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError, match=r"free within 0\.5 s"):
        pool.getconn()
    assert time.monotonic() - began < 2 * HERE_S
    give_back(pool, *taken)
    give_back(pool, *take(pool, 4))


def test_a_place_is_free_again_after_a_connection_that_could_not_be_made() -> None:
    def refuse() -> BoundedConnection:
        raise psycopg.OperationalError("refused")

    pool = Pool(refuse, most=1, wait_s=HERE_S)
    for _turn in range(3):
        with pytest.raises(psycopg.OperationalError, match="refused"):
            pool.getconn()
    assert POSTGRES.is_worth_asking(), "a server that refuses is asked by everybody"


def test_an_answer_that_does_not_come_is_given_up_and_its_connection_closed() -> None:
    with connect() as connection, stopped(pid_of(connection)):
        began = time.monotonic()
        with (
            answers_within(HERE_S),
            pytest.raises(psycopg.OperationalError, match=r"not answer within 0\.5 s"),
        ):
            connection.execute("SELECT 1")
        assert HERE_S <= time.monotonic() - began < 3 * HERE_S
        assert connection.closed
        assert connection.has_given_up


def test_a_statement_that_the_server_refuses_leaves_its_connection_open() -> None:
    with connect() as connection, answers_within(HERE_S):
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/0")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_server_stops_working_for_whoever_has_left(transactional_db: None) -> None:
    database = connections["default"]
    database.ensure_connection()
    shown = database.connection.execute("SHOW client_connection_check_interval").fetchone()
    assert shown == ("2s",)


def test_a_transaction_whose_asker_says_nothing_is_ended_and_is_a_connection_lost(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "SILENT_ENDS", base.SILENT_ENDS.replace("2min", "200ms"))
    locking = connections.create_connection("default")
    try:
        locking.set_autocommit(False)
        with locking.cursor() as cursor:
            cursor.execute("LOCK TABLE accounts_user")
        with connections["default"].cursor() as other:
            other.execute("SET lock_timeout = '5s'")
            other.execute("SELECT 1 FROM accounts_user")  # once the silent one's lock is gone
            other.execute("RESET lock_timeout")
        with pytest.raises(OperationalError), locking.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        locking.close()


def test_after_one_silence_the_idle_ones_are_tried_first_and_then_nobody_waits(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = take(pool, 3)
    first, *_others = taken
    with stopped(*(pid_of(one) for one in taken)):
        with answers_within(HERE_S), pytest.raises(psycopg.OperationalError):
            first.execute("SELECT 1")
        give_back(pool, *taken)
        with pytest.raises(psycopg.OperationalError, match="within 1 s"):
            pool.getconn()
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError, match="known not to answer"):
            pool.getconn()
        assert time.monotonic() - began < 0.1
        assert neighbours.silent_neighbours() == ["PostgreSQL"]
    time.sleep(POSTGRES.rest_s)
    give_back(pool, pool.getconn())
    assert neighbours.silent_neighbours() == []


def test_many_threads_share_the_pool_and_lose_no_place() -> None:
    pool = Pool(connect, most=3, wait_s=20.0)
    at_once: list[int] = []
    most = 0
    lock = threading.Lock()

    def work(turn: int) -> None:
        nonlocal most
        connection = pool.getconn()
        with lock:
            at_once.append(turn)
            most = max(most, len(at_once))
        connection.execute("SELECT pg_sleep(0.001)")
        if turn % 7 == 0:
            connection.close()
        with lock:
            at_once.remove(turn)
        pool.putconn(connection)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(work, range(120)))
    assert most == 3
    taken = take(pool, 3)
    give_back(pool, *taken)
    pool.close()
    assert all(connection.closed for connection in taken)
