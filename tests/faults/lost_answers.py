"""The tests' own database behind a proxy that loses answers to commits."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

from tests.faults.cutting_proxy import CuttingProxy, unix_socket


@contextmanager
def database_behind_proxy() -> Iterator[CuttingProxy]:
    """The proxy that every connection of this process goes through, in every thread, until the
    block ends."""
    place = connection.settings_dict
    before = {name: place[name] for name in ("HOST", "PORT")}
    upstream = unix_socket(Path(str(place["HOST"])), int(place["PORT"] or 5432))
    connection.close()
    with CuttingProxy(upstream=upstream, listen=("127.0.0.1", 0)) as proxy:
        place["HOST"], place["PORT"] = proxy.address[0], str(proxy.address[1])
        try:
            yield proxy
        finally:
            connection.close()
            place.update(before)
