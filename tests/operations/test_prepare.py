"""`manage.py prepare` between an empty database and a studio that can open."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from tests.operations.backups import new_database
from webapp.catalog.builtin import LISTED

PREPARE = [sys.executable, "manage.py", "prepare"]


@pytest.fixture
def empty_database() -> Iterator[str]:
    """The URL of a database of its own, dropped afterwards."""
    with new_database() as url:
        yield url


def test_two_that_start_at_once_on_an_empty_database_prepare_it_once_and_for_all(
    empty_database: str, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": empty_database,
        "DARKROOM_VAR": str(tmp_path),
        "DARKROOM_ADMIN_EMAIL": "ada@example.org",
        "DARKROOM_ADMIN_PASSWORD": "a long and quiet password",
    }
    processes = [
        subprocess.Popen(
            PREPARE,
            cwd=settings.BASE_DIR,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _start in range(2)
    ]
    said = [process.communicate(timeout=90)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert sorted("well-known models listed" in text for text in said) == [False, True]
    assert sorted("ada@example.org was made" in text for text in said) == [False, True]
    with psycopg.connect(empty_database) as connection:
        counts = "SELECT (SELECT COUNT(*) FROM accounts_user), COUNT(*) FROM catalog_diffusionmodel"
        assert connection.execute(counts).fetchone() == (1, 1 + len(LISTED))
    assert (tmp_path / "static" / "staticfiles.json").is_file()
    assert (tmp_path / "secrets" / "secret_key").stat().st_mode & 0o777 == 0o600
