"""A pytest plugin: real PostgreSQL and Valkey for the whole run, before Django reads its settings.

`DATABASE_URL` and `REDIS_URL` that are both set already are used instead.
"""

import os
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from webapp.embedded.servers import embedded_servers

servers = ExitStack()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Generator[None, None, None]:
    """A wrapper comes before pytest-django's own hook, which loads the settings."""
    var_dir = Path(servers.enter_context(tempfile.TemporaryDirectory(prefix="darkroom-tests-")))
    os.environ["DARKROOM_VAR"] = str(var_dir)
    os.environ["DARKROOM_DATABASE_POOL"] = "no"
    os.environ.setdefault("DARKROOM_LEASE_S", "10")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as worker.tasks does, and why
    if not {"DATABASE_URL", "REDIS_URL"} <= set(os.environ):
        urls = servers.enter_context(embedded_servers(var_dir, fsync=False))
        os.environ["DATABASE_URL"] = f"{urls.postgres}&options=-c%20darkroom.ledger_flush%3Don"
        os.environ["REDIS_URL"] = urls.valkey
    try:
        yield
    except BaseException:
        servers.close()  # a conftest that does not load never comes to pytest_unconfigure
        raise


def pytest_unconfigure() -> None:
    """Stops the servers and removes their data."""
    servers.close()
