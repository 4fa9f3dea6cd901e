"""A migration that the version before can't live with is refused, unless it says why it may be."""

from typing import Any

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import Q

from tests.expanding import find_harm, find_unmarked, is_marked

TEXT = models.CharField(max_length=20)


def migration(*operations: Operation, **marks: str) -> migrations.Migration:
    made = migrations.Migration("0002_more", "core")
    for name, value in {"operations": list(operations), **marks}.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def state() -> ProjectState:
    """An app with one model of before."""
    state = ProjectState()
    fields: list[tuple[str, models.Field[Any, Any]]] = [
        ("id", models.BigAutoField(primary_key=True)),
        ("name", TEXT),
        ("note", models.CharField(max_length=20, null=True)),
        ("kind", models.CharField(max_length=20, db_default="a")),
    ]
    migrations.CreateModel("thing", fields).state_forwards("core", state)
    return state


def harm(state: ProjectState, *operations: Operation) -> list[str]:
    return list(find_harm(migration(*operations), state))


def test_every_migration_of_ours_leaves_the_version_before_running() -> None:
    assert list(find_unmarked(MigrationLoader(None))) == []


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("thing", "extra", models.IntegerField(null=True)),
        migrations.AddField("thing", "extra", models.IntegerField(db_default=0)),
        migrations.AddField("thing", "others", models.ManyToManyField("core.thing")),
        migrations.AlterField("thing", "name", models.CharField(max_length=40)),
        migrations.AlterField("thing", "name", models.CharField(max_length=20, null=True)),
        migrations.AddIndex("thing", models.Index(fields=["name"], name="thing_name")),
        migrations.RemoveIndex("thing", "thing_name"),
        migrations.CreateModel("other", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AlterModelOptions("thing", {"ordering": ["name"]}),
    ],
    ids=lambda operation: operation.describe(),
)
def test_what_only_adds_is_let_through(state: ProjectState, operation: Operation) -> None:
    if isinstance(operation, migrations.RemoveIndex):
        index = models.Index(fields=["name"], name="thing_name")
        migrations.AddIndex("thing", index).state_forwards("core", state)
    assert harm(state, operation) == []


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (migrations.RemoveField("thing", "name"), "still uses it"),
        (migrations.DeleteModel("thing"), "still uses it"),
        (migrations.RenameField("thing", "name", "title"), "still uses it"),
        (migrations.RenameModel("thing", "object"), "still uses it"),
        (migrations.AlterModelTable("thing", "things"), "still uses it"),
        (migrations.AddField("thing", "extra", models.IntegerField(default=0)), "db_default"),
        (
            migrations.AddField("thing", "extra", models.IntegerField(db_default=0, unique=True)),
            "the same into every row",
        ),
        (migrations.AlterField("thing", "name", models.CharField(max_length=10)), "longer text"),
        (migrations.AlterField("thing", "name", models.IntegerField()), "another type"),
        (
            migrations.AlterField("thing", "name", models.CharField(max_length=20, unique=True)),
            "the same twice",
        ),
        (migrations.AlterField("thing", "note", TEXT), "may write NULL"),
        (migrations.AlterField("thing", "kind", TEXT), "rows without it"),
        (
            migrations.AddConstraint(
                "thing", models.CheckConstraint(condition=~Q(name=""), name="thing_named")
            ),
            "what this forbids",
        ),
        (migrations.RunSQL("UPDATE thing SET name = ''"), "what this changes"),
        (migrations.RunPython(lambda _apps, _editor: None), "what this changes"),
    ],
    ids=lambda value: value.describe() if isinstance(value, Operation) else "",
)
def test_what_takes_away_or_forbids_is_refused(
    state: ProjectState, operation: Operation, why: str
) -> None:
    (told,) = harm(state, operation)
    assert why in told


def test_a_model_that_is_new_may_be_changed_in_the_same_migration(state: ProjectState) -> None:
    new = migrations.CreateModel("other", [("id", models.BigAutoField(primary_key=True))])
    added = migrations.AddField("other", "name", models.CharField(max_length=9, default=""))
    assert harm(state, new, added) == []


@pytest.mark.parametrize(
    ("marks", "version", "marked"),
    [
        ({}, "1.2.0", False),
        ({"contract_since": "1.1.0"}, "1.2.0", True),
        ({"contract_since": "1.2.0"}, "1.2.0", False),
        ({"contract_since": "1.10.0"}, "1.9.0", False),
        ({"beside_older_code": "It reads both."}, "1.2.0", True),
        ({"needs_stop": "The workers."}, "1.2.0", True),
        ({"needs_stop": ""}, "1.2.0", False),
    ],
)
def test_a_contract_step_waits_for_a_later_release(
    marks: dict[str, Any], version: str, marked: bool
) -> None:
    assert is_marked(migration(**marks), version=version) is marked
