"""A real studio behind a real Chromium: the server runs as a process of its own, on the tests'
database and Valkey; the tests play the worker through the services a worker calls."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.db import connection
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import running_browser
from tests.browser.visitors import LiveStudio, Visitors

# Playwright's own event loop runs in this thread; Django would take it for an async caller.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

START_S = 30
# How long a page may take to show something: patience, on a machine that may be busy.
expect.set_options(timeout=15_000)


@pytest.fixture
def chromium() -> Browser:
    """The Chromium of all tests here; without any they are skipped, but never in CI."""
    return running_browser()


@pytest.fixture(scope="session")
def studio_process(
    django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveStudio]:
    """The ASGI server with collected static files, as in production."""
    call_command("collectstatic", interactive=False, verbosity=0)
    with _serving(tmp_path_factory, {}) as studio:
        yield studio


@contextmanager
def _serving(folders: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[LiveStudio]:
    """A studio with these settings on the tests' database."""
    port, media = _free_port(), folders.mktemp("media")
    command = [sys.executable, "-m", "webapp.serve", "--port", str(port)]
    own = {"DATABASE_URL": _test_database(), "DARKROOM_MEDIA": str(media)}
    log = folders.mktemp("web") / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--timeout-graceful-shutdown", "1"],
            env={**os.environ, **own, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        studio = LiveStudio(f"http://127.0.0.1:{port}", media)
        _wait_for(studio, process, log)
        yield studio
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def start_studio(
    live_studio: LiveStudio, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[dict[str, str]], LiveStudio]]:
    """`start_studio({"DARKROOM_...": ...})`: another one, with these settings, beside the running
    one."""
    with ExitStack() as studios:
        yield lambda settings: studios.enter_context(_serving(tmp_path_factory, settings))


@pytest.fixture
def live_studio(
    studio_process: LiveStudio,
    transactional_db: None,
    _fast_and_private: None,
    valkey_is_empty: None,
    settings: LazySettings,
) -> LiveStudio:
    """The running studio on an empty database; images that a test stores lie where it looks."""
    settings.MEDIA_ROOT = studio_process.media
    return studio_process


@pytest.fixture
def visitors(chromium: Browser, live_studio: LiveStudio) -> Iterator[Visitors]:
    """People with browsers. Afterwards no page may have said an error or broken the policy."""
    people = Visitors(chromium, live_studio.url)
    yield people
    people.leave()
    assert people.complaints == []


@pytest.fixture
def open_page(visitors: Visitors) -> Callable[..., Page]:
    """`open_page(path, user)`: a page in a fresh profile."""
    return visitors.open


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _test_database() -> str:
    parts = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(parts._replace(path=f"/{connection.settings_dict['NAME']}"))


def _wait_for(studio: LiveStudio, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"{studio.url}/healthz/", timeout=2).close()  # noqa: S310
        except (URLError, OSError):
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"the studio did not start:\n{log.read_text()}")
