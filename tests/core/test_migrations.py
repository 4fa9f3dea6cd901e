"""Migrations: each room starts with 0001, and they follow one another in one line."""

import pytest
from django.apps import apps
from django.conf import settings
from django.db.migrations.loader import MigrationLoader

ROOMS = sorted(settings.MIGRATION_MODULES)


@pytest.fixture(scope="module")
def history() -> MigrationLoader:
    return MigrationLoader(connection=None)


def test_every_room_with_tables_keeps_its_migrations_beside_the_others() -> None:
    ours = [app for app in apps.get_app_configs() if app.name.startswith("webapp.")]
    with_tables = [app.label for app in ours if list(app.get_models())]
    assert sorted(with_tables) == ROOMS
    assert all(settings.MIGRATION_MODULES[room] == f"migrations.{room}" for room in ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_the_migrations_of_a_room_are_one_numbered_line(
    history: MigrationLoader, room: str
) -> None:
    names = sorted(name for app, name in history.disk_migrations if app == room)
    assert [name[:4] for name in names] == [f"{n:04d}" for n in range(1, len(names) + 1)]
    assert history.graph.leaf_nodes(room) == [(room, names[-1])]
    assert history.disk_migrations[room, names[0]].initial
