"""A pytest plugin: real PostgreSQL and Valkey for the whole run, before Django reads its settings.

Every xdist worker has servers of its own, its PostgreSQL copied from a template that the
controller has migrated: what a test does to a server meets no test of another worker.
`DATABASE_URL` and `REDIS_URL` that are both set already are used instead, by one process only.
"""

import os
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.template import copy_template, make_template
from webapp.embedded.servers import embedded_servers

FOLDER, TEMPLATE, WORKER = "TESTS_FOLDER", "TESTS_TEMPLATE", "PYTEST_XDIST_WORKER"
LEDGER_MAY_BE_EMPTIED = "&options=-c%20darkroom.ledger_flush%3Don"
servers = ExitStack()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """A wrapper comes before pytest-django's own hook, which loads the settings."""
    var_dir = _make_folder()
    os.environ["DARKROOM_VAR"] = str(var_dir)
    os.environ["DARKROOM_DATABASE_POOL"] = "no"
    os.environ.setdefault("DARKROOM_LEASE_S", "10")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as worker.tasks does, and why
    try:
        if early_config.known_args_namespace.numprocesses and WORKER not in os.environ:
            _prepare_for_workers(var_dir)
        elif not {"DATABASE_URL", "REDIS_URL"} <= set(os.environ):
            _start(var_dir)
        yield
    except BaseException:
        servers.close()  # a conftest that does not load never comes to pytest_unconfigure
        raise


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """A worker stops its servers before it says that it has finished: the controller then gives it
    five seconds."""
    if WORKER in os.environ:
        servers.close()


def pytest_unconfigure() -> None:
    """Stops the servers and removes their data."""
    servers.close()


def _make_folder() -> Path:
    """A worker's lies in the controller's, who removes it whatever becomes of the worker."""
    if WORKER in os.environ:
        folder = Path(os.environ[FOLDER]) / os.environ[WORKER]
        folder.mkdir(mode=0o700)
        return folder
    made = servers.enter_context(tempfile.TemporaryDirectory(prefix="darkroom-tests-"))
    os.environ[FOLDER] = made
    return Path(made)


def _prepare_for_workers(var_dir: Path) -> None:
    if {"DATABASE_URL", "REDIS_URL"} & set(os.environ):
        raise pytest.UsageError(
            "-n starts servers for each worker: unset DATABASE_URL and REDIS_URL, or leave -n out"
        )
    if TEMPLATE not in os.environ:
        os.environ[TEMPLATE] = str(make_template(var_dir))


def _start(var_dir: Path) -> None:
    if template := os.environ.get(TEMPLATE):
        copy_template(Path(template), var_dir)
    urls = servers.enter_context(embedded_servers(var_dir, fsync=False))
    os.environ["DATABASE_URL"] = urls.postgres + LEDGER_MAY_BE_EMPTIED
    os.environ["REDIS_URL"] = urls.valkey
