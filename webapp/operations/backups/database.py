"""What backups ask of PostgreSQL, on a connection of their own that leads to the server itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection as studio
from psycopg import IsolationLevel, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from webapp.embedded.binaries import find_dump_program, program_major
from webapp.embedded.dumps import dumped
from webapp.embedded.errors import EmbeddedError
from webapp.operations.backups import BackupError
from webapp.postgres.limits import CHECK_S

NAMED_ROWS = 5000
CONNECT_S = 10
# Django's own, among what stands beside libpq's in its OPTIONS.
NOT_LIBPQ = {"pool", "isolation_level", "server_side_binding", "assume_role", "connect_timeout"}
# Of images and uploads; thumbnails and strips are a fifth on top.
MEDIA_BYTES = """
SELECT (SELECT COALESCE(SUM(size_bytes), 0) FROM generation_image WHERE file <> '')
     + (SELECT COALESCE(SUM(size_bytes), 0) FROM generation_upload)
"""
# Each file once, in the order of their bytes. An upload's small copy lies beside it.
MEDIA_NAMES = """
SELECT name COLLATE "C" FROM (
    SELECT unnest(ARRAY[file, thumbnail, strip]) AS name FROM generation_image
    UNION SELECT unnest(ARRAY[file, regexp_replace(file, '\\.png$', '') || '.webp'])
          FROM generation_upload
) AS named WHERE name <> '' ORDER BY 1
"""
TABLES = """
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') ORDER BY 1
"""
LEDGER = """
SELECT COALESCE(SUM(posted_ucr), 0), COALESCE(SUM(held_ucr), 0) FROM credits_account
WHERE kind = 'user'
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The database as it was at one moment, for as long as the block of `frozen` lasts."""

    id: str
    postgres: int
    archive: int
    counts: dict[str, int]
    migrations: dict[str, list[str]]
    images: int
    posted_ucr: int
    held_ucr: int
    database_bytes: int
    media_bytes: int
    _connection: "psycopg.Connection[Any]"

    def media_names(self) -> Iterator[str]:
        """The names of all files that rows name, each once, sorted."""
        with self._connection.cursor(name="media") as cursor:
            cursor.execute(MEDIA_NAMES)
            while rows := cursor.fetchmany(NAMED_ROWS):
                yield from (name for (name,) in rows)

    @contextmanager
    def archive_pieces(self) -> Iterator[Iterator[bytes]]:
        """The dump, piece by piece. Raises BackupError."""
        program = find_dump_program("pg_dump", major=self.postgres)
        conninfo, password = direct_connection()
        try:
            with dumped(program, conninfo=conninfo, password=password, snapshot=self.id) as pieces:
                yield pieces
        except EmbeddedError as error:
            raise BackupError(str(error)) from error


@contextmanager
def frozen() -> Iterator[Snapshot]:
    """A transaction that sees nothing of what others do meanwhile, and lets `pg_dump` see the same.
    It is open for as long as the dump takes, and reads only. Raises BackupError."""
    with asking() as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield _look(connection)
        connection.rollback()


def direct_connection() -> tuple[str, str]:
    """How libpq's programs find the studio's database, without and apart from its password. Raises
    BackupError if only a pooler is known."""
    if settings.DIRECT_DATABASE_URL:
        parts = {key: str(value) for key, value in _read(settings.DIRECT_DATABASE_URL).items()}
        return make_conninfo("", **{**parts, "password": None}), parts.get("password", "")
    known = studio.settings_dict
    if known["DISABLE_SERVER_SIDE_CURSORS"]:
        raise BackupError(
            "DATABASE_URL leads to PgBouncer, through which no database can be dumped or loaded:"
            " set DARKROOM_DIRECT_DATABASE_URL to the address of PostgreSQL itself."
        )
    parts = {"host": known["HOST"], "port": known["PORT"], "user": known["USER"]}
    options = {key: value for key, value in known["OPTIONS"].items() if key not in NOT_LIBPQ}
    found = {key: value for key, value in {**parts, **options}.items() if value != ""}
    return make_conninfo("", dbname=known["NAME"], **found), known["PASSWORD"]


def _read(url: str) -> dict[str, Any]:
    try:
        return dict(conninfo_to_dict(url))
    except psycopg.ProgrammingError as error:
        raise BackupError("DARKROOM_DIRECT_DATABASE_URL is not a PostgreSQL URL.") from error


@contextmanager
def asking() -> Iterator["psycopg.Connection[Any]"]:
    """A connection to the server itself, whose one transaction ends with the block. Raises
    BackupError for what the server says, or if it does not answer."""
    conninfo, password = direct_connection()
    try:
        with psycopg.connect(
            conninfo, connect_timeout=CONNECT_S, password=password or None
        ) as connection:
            yield connection
    except psycopg.Error as error:
        raise BackupError(f"PostgreSQL: {str(error).strip()}") from error
    except EmbeddedError as error:
        raise BackupError(str(error)) from error


def server_major(connection: "psycopg.Connection[Any]") -> int:
    """The major version of the server."""
    return connection.info.server_version // 10_000


def count_rows(connection: "psycopg.Connection[Any]") -> dict[str, int]:
    """The rows of every table."""
    return {name: _count(connection, name) for name in list_tables(connection)}


def list_tables(connection: "psycopg.Connection[Any]") -> list[str]:
    """The names of all tables."""
    return [name for (name,) in connection.execute(TABLES)]


def _count(connection: "psycopg.Connection[Any]", table: str) -> int:
    asked = sql.SQL("SELECT COUNT(*) FROM {}").format(sql.Identifier("public", table))
    return int(_one(connection, asked)[0])


def _one(connection: "psycopg.Connection[Any]", asked: Any) -> tuple[Any, ...]:
    (row,) = connection.execute(asked)
    return tuple(row)


def _look(connection: "psycopg.Connection[Any]") -> Snapshot:
    limit = sql.SQL("SET LOCAL statement_timeout = {}").format(int(CHECK_S * 1000))
    connection.execute(limit)
    # The server ends a transaction that waits for long, where it is told to.
    connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    (snapshot,) = _one(connection, "SELECT pg_export_snapshot()")
    counts = count_rows(connection)
    posted_ucr, held_ucr = _one(connection, LEDGER)
    major = server_major(connection)
    return Snapshot(
        id=snapshot,
        postgres=major,
        archive=program_major(find_dump_program("pg_dump", major=major)),
        counts=counts,
        migrations=read_migrations(connection),
        images=int(_one(connection, "SELECT COUNT(*) FROM generation_image WHERE file <> ''")[0]),
        posted_ucr=int(posted_ucr),
        held_ucr=int(held_ucr),
        database_bytes=int(_one(connection, "SELECT pg_database_size(current_database())")[0]),
        media_bytes=int(_one(connection, MEDIA_BYTES)[0]),
        _connection=connection,
    )


def read_migrations(connection: "psycopg.Connection[Any]") -> dict[str, list[str]]:
    """The names of the migrations that were applied, by their app."""
    found: dict[str, list[str]] = {}
    for app, name in connection.execute("SELECT app, name FROM django_migrations ORDER BY 1, 2"):
        found.setdefault(app, []).append(name)
    return found
