"""Studios to back up, and empty ones to restore into."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.conf import settings
from psycopg import sql

from tests.people import claim, finish, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel

COMMAND_S = 240
END_OURS = """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = %s AND usename = current_user"""


@contextmanager
def new_database() -> Iterator[str]:
    """The URL of an empty database of its own, dropped afterwards."""
    server = urlsplit(os.environ["DATABASE_URL"])
    name = f"empty_{uuid.uuid4().hex}"
    with psycopg.connect(urlunsplit(server), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield urlunsplit(server._replace(path=f"/{name}"))
        # Not by FORCE, which would end an autovacuum, too, and may not: it is the superuser's.
        connection.execute(END_OURS, [name])
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def manage(database: str, var: Path, *words: str, **more: str) -> tuple[int, str]:
    """The exit status of a management command in a studio of its own, and what it said."""
    environment = {**os.environ, "DATABASE_URL": database, "DARKROOM_VAR": str(var), **more}
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=settings.BASE_DIR,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=COMMAND_S,
    )
    return done.returncode, done.stdout


def ask(database: str, query: str) -> list[tuple[object, ...]]:
    """The rows of an answer."""
    with psycopg.connect(database) as connection:
        return list(connection.execute(query.encode()))


def draw(owner: User, model: DiffusionModel, count: int = 1) -> None:
    """So many stored images of the owner."""
    submit(owner, model, count=count)
    for _image in range(count):
        assert finish(claim(model, begin=True))


def files_below(folder: Path) -> Mapping[str, bytes]:
    """All files by their path."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
