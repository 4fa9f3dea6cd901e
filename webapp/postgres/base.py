"""The backend that Django loads by its name; everything that is not here is Django's own."""

import logging
from typing import Any, ClassVar

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql import base
from psycopg import IsolationLevel

from webapp.postgres.connections import BoundedConnection, Pool

logger = logging.getLogger(__name__)

# How soon the server stops working on a statement whose asker has left.
LEFT_CHECK = "SET client_connection_check_interval = '2s'"
LEFT_CHECK_SINCE = 140_000
# How soon it ends a transaction whose asker says nothing: a host that was cut off keeps its rows
# locked for no longer. Ours wait for nothing but the database.
SILENT_ENDS = "SET idle_in_transaction_session_timeout = '2min'"


class DatabaseWrapper(base.DatabaseWrapper):
    """Connections are `BoundedConnection`s; with OPTIONS["pool"] they are kept in a `Pool`."""

    _pools: ClassVar[dict[str, Pool]] = {}

    @property
    def pool(self) -> Pool | None:
        """This process's pool; None if connections are not pooled. It has what Django uses of
        psycopg_pool's: getconn and putconn. Raises ImproperlyConfigured if CONN_MAX_AGE is set
        beside it."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if not options or self.settings_dict["NAME"] is None:
            return None
        if self.alias not in self._pools:
            if self.settings_dict.get("CONN_MAX_AGE"):
                raise ImproperlyConfigured("CONN_MAX_AGE must be 0 with a pool.")
            parameters = {**self.get_connection_params(), "autocommit": True}
            # Two threads may be first: both use the one that came in.
            self._pools.setdefault(self.alias, Pool(lambda: self._connect(parameters), **options))
        return self._pools[self.alias]

    def close_pool(self) -> None:
        """Ends the pool; the next connection begins another one."""
        pool = self._pools.pop(self.alias, None)
        if pool is not None:
            pool.close()

    def get_new_connection(self, conn_params: dict[str, Any]) -> BoundedConnection:
        """One of the pool, or a new one; raises psycopg.OperationalError."""
        self.isolation_level = IsolationLevel.READ_COMMITTED
        pool = self.pool
        return pool.getconn() if pool else BoundedConnection.connect(**conn_params)

    def _connect(self, parameters: dict[str, Any]) -> BoundedConnection:
        connection = BoundedConnection.connect(**parameters)
        try:
            self._configure_connection(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _configure_connection(self, connection: BoundedConnection) -> bool:
        must_commit = bool(super()._configure_connection(connection))  # type: ignore[misc]
        # Behind PgBouncer a SET would stay with whichever server connection ran it, and it is
        # PgBouncer whose leaving would be looked for.
        if not self.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
            connection.execute(SILENT_ENDS)
            self._look_for_who_left(connection)
        return must_commit

    def _look_for_who_left(self, connection: BoundedConnection) -> None:
        if connection.info.server_version >= LEFT_CHECK_SINCE:
            try:
                connection.execute(LEFT_CHECK)
            except psycopg.errors.InvalidParameterValue as error:  # not on every system
                logger.info("the server does not look whether we have left: %s", error)
