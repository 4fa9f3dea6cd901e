"""A zip archive that is written while it is sent: never whole in memory, nor on the disk.

Entries are read one after the other in the request's own thread; between two pieces the event loop
serves others. What lies compressed already (PNG, WebP) is stored as it is.
"""

import zipfile
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, cast

from asgiref.sync import sync_to_async
from django.utils import timezone

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One file of the archive: its name in there, and who reads it piece by piece, once.

    `read` may raise FileNotFoundError before its first piece: the archive goes on without it.
    """

    name: str
    read: Callable[[], Iterator[bytes]]
    compressed: bool = False
    modified: datetime | None = None


class _Sink:
    """Where `zipfile` writes to: keeps what was not sent yet, and can't be rewound."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keeps the piece."""
        self.parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = b"".join(self.parts)
        self.parts.clear()
        return taken


async def stream_zip(entries: Iterable[ZipEntry]) -> AsyncGenerator[bytes, None]:
    """The archive in pieces, for a StreamingHttpResponse. `entries` may be a generator that asks
    the database: it runs in the request's thread, not in the event loop's."""
    pieces = write_zip(entries)
    try:
        while (piece := await sync_to_async(lambda: next(pieces, None))()) is not None:
            yield piece
    finally:
        await sync_to_async(pieces.close)()


def write_zip(entries: Iterable[ZipEntry]) -> Generator[bytes, None, None]:
    """The same for a thread of its own; no piece is much larger than `CHUNK_BYTES`."""
    sink = _Sink()
    archive = zipfile.ZipFile(cast("IO[bytes]", sink), "w")
    for entry in entries:
        yield from _write(archive, sink, entry)
    archive.close()
    yield sink.take()


def _write(archive: zipfile.ZipFile, sink: _Sink, entry: ZipEntry) -> Iterator[bytes]:
    pieces = entry.read()
    try:
        first = next(pieces, b"")
    except FileNotFoundError:
        return
    with archive.open(_info(entry), "w") as file:
        for piece in _chain(first, pieces):
            file.write(piece)
            if len(ready := sink.take()):
                yield ready
    yield sink.take()


def _chain(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _info(entry: ZipEntry) -> zipfile.ZipInfo:
    modified = timezone.localtime(entry.modified)
    info = zipfile.ZipInfo(entry.name, modified.timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED if entry.compressed else zipfile.ZIP_STORED
    info.external_attr = 0o644 << 16
    return info
