"""Damage to the ledger, done behind its back, and the command that finds it."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.core.fixtures import static_files as static_files
from tests.people import claim, finish, make_model, submit
from webapp.accounts.models import User
from webapp.core.units import UCR_PER_CREDIT
from webapp.generation.queueing import services

TABLES = [
    f"credits_{table}"
    for table in (
        *("account", "codeuse", "entry", "hold", "mailboxgrant", "topupbatch", "transaction"),
    )
]
CREDIT = UCR_PER_CREDIT


@pytest.fixture
def busy_studio(alice: User, bob: User) -> None:
    """One image stored, one cancelled, two queued."""
    model = make_model()
    submit(alice, model)
    assert finish(claim(model))
    cancelled = submit(alice, model)
    services.cancel_generation(owner=alice, generation_id=cancelled.pk)
    submit(bob, model, count=2)


def check(*options: str) -> str:
    said = io.StringIO()
    call_command("check_credits", *options, stdout=said)
    return said.getvalue()


def find_damage(*options: str) -> str:
    said = io.StringIO()
    with pytest.raises(CommandError, match="the ledger needs a look"):
        call_command("check_credits", *options, stdout=said)
    return said.getvalue()


def tamper(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # ALTER TABLE waits for no trigger
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(statement)
        assert cursor.rowcount
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
