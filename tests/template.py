"""A PostgreSQL whose test database is migrated already: made once a run, copied for each worker."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg

from webapp.embedded.servers import embedded_servers

DATABASE = "test_darkroom"  # as Django names the tests' database
PROJECT = Path(__file__).resolve().parent.parent
MIGRATE_S = 300.0
COPY_S = 60.0


def make_template(var_dir: Path) -> Path:
    """The data folder of a PostgreSQL that has stopped, with every migration applied to its test
    database. Raises EmbeddedError or CalledProcessError."""
    with embedded_servers(var_dir, fsync=False) as urls:
        with psycopg.connect(urls.postgres, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}".encode())
        test_url = urls.postgres.replace("/darkroom?", f"/{DATABASE}?")
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity=0"],
            cwd=PROJECT,
            env={**os.environ, "DATABASE_URL": test_url, "REDIS_URL": urls.valkey},
            check=True,
            timeout=MIGRATE_S,
        )
    return var_dir / "postgres"


def copy_template(template: Path, var_dir: Path) -> None:
    """Gives a worker's folder the database, with the owner that PostgreSQL insists on."""
    copy = ["cp", "--archive", str(template), str(var_dir / "postgres")]
    subprocess.run(copy, check=True, timeout=COPY_S)
