"""Files that are sent in pieces, read by a test as one."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import async_to_sync
from django.test import Client


def download(client: Client, path: str) -> list[dict[str, str]]:
    """The lines of a CSV by the names of their columns."""

    async def join() -> bytes:
        pieces = answer.streaming_content
        assert isinstance(pieces, AsyncIterator)
        return b"".join([piece async for piece in pieces])

    answer: Any = client.get(path)
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(async_to_sync(join)().decode("utf-8-sig"))))
