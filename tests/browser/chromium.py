"""One Chromium for all tests of a process that drive it.

While Playwright's loop runs in this thread, no other loop can: a test that drives no browser is
preceded by `close()`, and the next one that does starts it again. The order of the tests (see
`tests.selection`) makes that rare.
"""

import os
import shutil
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_running = ExitStack()
_browsers: list[Browser] = []


def running_browser() -> Browser:
    """The browser, started unless it runs; a new one if it has crashed. Without any Chromium the
    test is skipped, but never in CI."""
    if _browsers and not _browsers[0].is_connected():
        close()
    if not _browsers:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium")
        path = path or shutil.which("google-chrome")
        if path is None and not os.environ.get("CI"):
            pytest.skip("no Chromium: set CHROMIUM to its path")
        playwright = _running.enter_context(sync_playwright())
        _browsers.append(playwright.chromium.launch(executable_path=path, args=FLAGS))
        _running.callback(_browsers[0].close)
    return _browsers[0]


def close() -> None:
    """Ends the browser and Playwright's loop, if they run."""
    _browsers.clear()
    _running.close()
