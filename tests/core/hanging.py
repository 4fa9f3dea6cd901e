"""A Valkey that can be made to hang, for tests that name the fixture `hanging_valkey`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.cache import caches

from tests.faults.hanging_proxy import HangingProxy
from webapp.core import herald
from webapp.core.neighbours import VALKEY
from webapp.core.valkey import valkey


@pytest.fixture
def hanging_valkey(settings: LazySettings, tmp_path: Path) -> Iterator[HangingProxy]:
    """The tests' Valkey behind a proxy, which everything in this process asks meanwhile."""
    path = os.environ["REDIS_URL"].removeprefix("unix://").partition("?")[0]
    with HangingProxy(upstream=path, listen=str(tmp_path / "valkey.sock")) as proxy:
        url = f"unix://{proxy.address}?db=0"
        settings.REDIS_URL = url
        settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": url}}
        _forget_connections()
        yield proxy
        proxy.resume()
        assert herald.flush(timeout_s=10)
    _forget_connections()


def _forget_connections() -> None:
    valkey.cache_clear()
    caches["default"].close()
    del caches["default"]
    VALKEY.answered()
