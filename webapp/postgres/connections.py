"""Connections that give up on a silent server, and the pool of them."""

import logging
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from webapp.core.neighbours import POSTGRES
from webapp.postgres.limits import answer_limit_s, answers_within

logger = logging.getLogger(__name__)

RV = TypeVar("RV")
PING_S = 1.0
WAKE_S = 0.1  # how often psycopg looks for Ctrl-C
IDLE_S, OLD_S = 600.0, 3600.0
# Connections lost like any other, but psycopg files them under InternalError, by their SQLSTATE.
ENDED_BY_SERVER = (
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.TransactionTimeout,
)


class BoundedConnection(psycopg.Connection[Any]):
    """Waits for an answer as long as `answer_limit_s` says. One that was given up is closed: what
    comes later would be taken for the answer to the next statement."""

    made_at = 0.0
    idle_since = 0.0
    has_given_up = False

    def wait(self, gen: PQGen[RV], interval: float = WAKE_S, timeout: float | None = None) -> RV:
        """The answer; raises psycopg.OperationalError without one in time."""
        limit_s = answer_limit_s() if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit_s)
        except ENDED_BY_SERVER as error:
            raise psycopg.OperationalError(str(error)) from error
        except psycopg.OperationalError as error:
            if timeout is not None or self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            self.has_given_up = True
            self.pgconn.finish()
            sentence = f"PostgreSQL did not answer within {limit_s:.3g} s"
            raise psycopg.OperationalError(sentence) from error


class Pool:
    """At most `most` connections, each in somebody's hands or idle.

    Whoever needs one and finds none idle makes it: nothing is waited for between a server's return
    and the first connection. An idle one whose server has left is known by its socket, and put
    away unseen, however many there are.
    """

    def __init__(
        self, connect: Callable[[], BoundedConnection], *, most: int, wait_s: float
    ) -> None:
        self._connect = connect
        self._places = threading.BoundedSemaphore(most)
        self._idle: deque[BoundedConnection] = deque()
        self._wait_s = wait_s
        self._is_closed = False
        self._is_in_doubt = False  # an answer was given up: idle connections are tried before use

    def getconn(self) -> BoundedConnection:
        """A connection that works, as far as can be known. Raises psycopg.OperationalError if
        none is free in time, none can be made, or the server is known to be silent."""
        limit_s = answer_limit_s()
        wait_s = self._wait_s if limit_s is None else min(limit_s, self._wait_s)
        if not self._places.acquire(timeout=wait_s):
            raise psycopg.OperationalError(f"no connection was free within {wait_s:.3g} s")
        try:
            connection = self._find()
        except BaseException:
            self._places.release()
            raise
        connection._pool = self  # type: ignore[assignment]  # whom Django gives it back to
        return connection

    def putconn(self, connection: BoundedConnection) -> None:
        """Takes a connection back, out of its transaction; one that cannot be used again goes."""
        connection._pool = None
        try:
            self._is_in_doubt |= connection.has_given_up
            if self._is_closed or not is_tidy(connection):
                connection.close()
            else:
                self._keep(connection)
        finally:
            self._places.release()

    def close(self) -> None:
        """Closes what is idle, and from now on whatever comes back."""
        self._is_closed = True
        while (connection := self._pop()) is not None:
            connection.close()

    def _find(self) -> BoundedConnection:
        if not POSTGRES.is_worth_asking():
            raise psycopg.OperationalError("PostgreSQL is known not to answer")
        while (connection := self._pop()) is not None:
            if self._works(connection):
                POSTGRES.answered()
                return connection
            connection.close()
        return self._make()

    def _pop(self) -> BoundedConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _works(self, connection: BoundedConnection) -> bool:
        """Raises psycopg.OperationalError if the server is silent: it would be to all others
        that are idle, too."""
        if not self._is_in_doubt and not POSTGRES.is_silent and not has_news(connection):
            return True
        try:
            with answers_within(PING_S):
                connection.execute("")
        except psycopg.OperationalError:
            if connection.has_given_up:
                POSTGRES.fell_silent()
                raise
            return False
        self._is_in_doubt = False
        return True

    def _make(self) -> BoundedConnection:
        try:
            connection = self._connect()
        except psycopg.errors.ConnectionTimeout:
            POSTGRES.fell_silent()
            raise
        except psycopg.OperationalError:
            POSTGRES.answered()  # it refuses: that is an answer, and costs nobody time
            raise
        POSTGRES.answered()
        connection.made_at = time.monotonic()
        return connection

    def _keep(self, connection: BoundedConnection) -> None:
        now = time.monotonic()
        if now - connection.made_at > OLD_S:
            return connection.close()
        connection.idle_since = now
        self._idle.append(connection)
        self._put_away_the_unused(now)
        return None

    def _put_away_the_unused(self, now: float) -> None:
        """The newest is taken first: those at the other end are what nobody needed lately."""
        try:
            while now - self._idle[0].idle_since > IDLE_S:
                self._idle.popleft().close()
        except IndexError:  # somebody beside us took the last one
            return


def is_tidy(connection: BoundedConnection) -> bool:
    """Whether the connection is outside of any transaction now: one that was left open is rolled
    back. False if it is broken or in the middle of a statement."""
    status = connection.pgconn.transaction_status
    if status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
        try:
            connection.rollback()
        except psycopg.Error as error:
            logger.warning("a connection could not be rolled back: %s", error)
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


def has_news(connection: BoundedConnection) -> bool:
    """Whether anything came in that nobody asked for: as a rule the server's farewell."""
    if connection.closed:
        return True
    look = select.poll()
    look.register(connection.fileno(), select.POLLIN)
    return bool(look.poll(0))
