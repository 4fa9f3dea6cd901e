"""The gate for migrations: each leaves the database such that the version before still runs on it,
so that web processes and workers of both can be there at once while a studio is upgraded.

What takes something away, or forbids what the version before writes, is the contract step of a
later release. Such a migration says so itself (CONTRIBUTING.md, "Migrations"), in one of

    contract_since = "1.2.0"        that version and later ones do without what goes here
    beside_older_code = "..."       why the version before runs on all the same
    needs_stop = "..."              what has to be stopped for it, as the changelog says, too

`python -m tests.expanding` prints what neither expands nor says so.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

import django
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models.fields import NOT_PROVIDED

# The last migrations of before there was this gate.
BEFORE = {
    "accounts": "0010_plain_words",
    "catalog": "0006_plain_words",
    "core": "0006_notice_posted",
    "credits": "0010_plain_words",
    "gallery": "0002_plain_words",
    "generation": "0011_plain_words",
    "operations": "0003_plain_words",
}
TAKE_AWAY = (
    migrations.DeleteModel,
    migrations.RemoveField,
    migrations.RenameField,
    migrations.RenameModel,
    migrations.AlterModelTable,
    migrations.AlterUniqueTogether,
)
DATA = (migrations.RunPython, migrations.RunSQL)
UNBOUNDED = 1_000_000_000
MARKS = ("beside_older_code", "needs_stop")


def main() -> int:
    """Exit status 1 if a migration neither expands nor says so; each that does not is printed."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    django.setup()
    told = list(find_unmarked(MigrationLoader(None)))
    print(*told, sep="\n", end="\n" if told else "")
    return 1 if told else 0


def find_unmarked(loader: MigrationLoader) -> Iterator[str]:
    """A line for each operation of a later migration that the version before cannot live with."""
    from webapp import __version__

    for app, last in BEFORE.items():
        for key in sorted(key for key in loader.graph.nodes if key[0] == app and key[1] > last):
            migration = loader.get_migration(*key)
            if not is_marked(migration, version=__version__):
                # Not `dependencies`, of which one may be the first of whatever app users are in.
                needed = [parent.key for parent in loader.graph.node_map[key].parents]
                state = loader.project_state(needed)
                yield from (f"{app}.{key[1]}: {why}" for why in find_harm(migration, state))


def is_marked(migration: migrations.Migration, *, version: str) -> bool:
    """Whether the migration says why it may. A contract step is for a later version than the first
    one that does without."""
    if any(getattr(migration, mark, "") for mark in MARKS):
        return True
    since = getattr(migration, "contract_since", "")
    return bool(since) and _numbers(since) < _numbers(version)


def find_harm(migration: migrations.Migration, state: ProjectState) -> Iterator[str]:
    """A sentence for each operation that harms the version before; `state` is as it finds the
    models."""
    made: set[str] = set()
    state = state.clone()
    for operation in migration.operations:
        if isinstance(operation, migrations.CreateModel):
            made.add(operation.name_lower)
        is_of_before = getattr(operation, "model_name_lower", "") not in made
        if is_of_before and (why := _harm_of(operation, state, migration.app_label)):
            yield f"{operation.describe()} ({why})"
        operation.state_forwards(migration.app_label, state)


def _harm_of(operation: Operation, state: ProjectState, app: str) -> str:
    """Why the version before can't live with it; "" if it can."""
    if isinstance(operation, TAKE_AWAY):
        return "the version before still uses it"
    if isinstance(operation, DATA):
        return "the version before may read or write what this changes"
    if isinstance(operation, migrations.AddConstraint):
        return "the version before may write what this forbids"
    if isinstance(operation, migrations.AddField):
        return _harm_of_new(operation.field)
    if isinstance(operation, migrations.AlterField):
        model = state.models[app, operation.model_name_lower]
        return _harm_of_change(model.fields[operation.name], operation.field)
    return ""


def _harm_of_new(field: "models.Field[Any, Any]") -> str:
    if field.many_to_many or field.null or field.db_default is not NOT_PROVIDED:
        return "" if not field.unique else "the version before writes the same into every row"
    return "the version before writes rows without it: let it be null, or give it a db_default"


def _harm_of_change(before: "models.Field[Any, Any]", now: "models.Field[Any, Any]") -> str:
    if before.null and not now.null:
        return "the version before may write NULL"
    if now.unique and not before.unique:
        return "the version before may write the same twice"
    if before.db_default is not NOT_PROVIDED and now.db_default is NOT_PROVIDED:
        return "the version before writes rows without it"
    if _column(before) != _column(now):
        return "the version before knows another type of column"
    if (now.max_length or UNBOUNDED) < (before.max_length or UNBOUNDED):
        return "the version before may write longer text"
    return ""


def _column(field: "models.Field[Any, Any]") -> str:
    """The kind of column, whatever its length."""
    return f"{field.get_internal_type()} {field.db_column or ''}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


if __name__ == "__main__":
    sys.exit(main())
