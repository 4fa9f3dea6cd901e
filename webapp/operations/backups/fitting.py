"""Whether a backup may be restored here: each answer that is no is a BackupError, and nothing has
been changed by then."""

import hmac
from typing import Any

import psycopg
from django.apps import apps
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from webapp import env
from webapp.operations.backups import BackupError
from webapp.operations.backups.database import asking, list_tables, server_major
from webapp.operations.backups.manifest import KEY, Manifest

# Whoever is there, and whatever they have done. A studio that was only prepared has none of these.
LIVED_IN = {
    "accounts_user": "users",
    "generation_image": "images",
    "credits_transaction": "transactions",
}
OTHERS = """
SELECT COUNT(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


def require_versions(manifest: Manifest) -> None:
    known = MigrationLoader(None).disk_migrations or {}
    later = [
        f"{app}.{name}"
        for app, names in manifest.migrations.items()
        for name in names
        if (app, name) not in known and apps.is_installed(f"webapp.{app}")
    ]
    if later:
        raise BackupError(
            f"The backup was made by a later version ({manifest.darkroom}, with {later[-1]}):"
            " restore it with that one."
        )
    with asking() as connection:
        here = server_major(connection)
    if here < manifest.postgres:
        raise BackupError(
            f"The backup is of PostgreSQL {manifest.postgres}, and the server is {here}: restore"
            f" it into {manifest.postgres} or newer."
        )


def require_key(key: str) -> None:
    """Raises BackupError if another key was set than the one that encrypted what is in there."""
    named = env.secret("DARKROOM_SECRET_KEY")
    if named and not hmac.compare_digest(named.encode(), key.encode()):
        raise BackupError(
            "DARKROOM_SECRET_KEY is another one than the backup's, and would lose the secrets of"
            f" two-factor authentication and unused codes: set it to what stands in {KEY} of the"
            " backup, or unset it."
        )


def require_nobody() -> None:
    """Raises BackupError unless the database is empty, or a studio that was only prepared, and
    nobody else is connected to it."""
    with asking() as connection:
        require_no_people(connection)
        _require_quiet(connection)


def require_no_people(connection: "psycopg.Connection[Any]") -> None:
    """Raises BackupError if the database has users or images, or tables of another program."""
    tables = set(list_tables(connection))
    ours = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}
    if strange := sorted(tables - ours - {"django_migrations"}):
        raise BackupError(
            f"The database has tables that this version does not know ({strange[0]}): restore"
            " into an empty one."
        )
    for table, what in LIVED_IN.items():
        if table in tables and _is_any(connection, table):
            raise BackupError(
                f"This studio has {what} already: restore into an empty one (another"
                " DARKROOM_VAR, or another database)."
            )


def _require_quiet(connection: "psycopg.Connection[Any]") -> None:
    row = connection.execute(OTHERS).fetchone()
    if row and row[0]:
        raise BackupError(
            f"{row[0]} others are connected to the database: stop web, beat and workers first."
        )


def _is_any(connection: "psycopg.Connection[Any]", table: str) -> bool:
    asked = sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier("public", table))
    return connection.execute(asked).fetchone() is not None
