"""Archives that are written while they are sent."""

import io
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime

from webapp.core.zipping import CHUNK_BYTES, ZipEntry, stream_zip, write_zip


def pieces(*parts: bytes) -> Iterator[bytes]:
    yield from parts


def entry(name: str, *parts: bytes, compressed: bool = False) -> ZipEntry:
    return ZipEntry(name, lambda: pieces(*parts), compressed=compressed)


def unzip(body: bytes) -> dict[str, bytes]:
    archive = zipfile.ZipFile(io.BytesIO(body))
    assert archive.testzip() is None
    return {name: archive.read(name) for name in archive.namelist()}


async def test_what_was_zipped_can_be_unzipped() -> None:
    entries = [
        entry("words.json", b"[", b"1" * 500_000, b"]", compressed=True),
        entry("pictures/여우.png", b"\x89PNG", b"rest"),
        entry("empty.txt"),
    ]
    body = b"".join([piece async for piece in stream_zip(entries)])
    assert unzip(body) == {
        "words.json": b"[" + b"1" * 500_000 + b"]",
        "pictures/여우.png": b"\x89PNGrest",
        "empty.txt": b"",
    }
    kinds = [info.compress_type for info in zipfile.ZipFile(io.BytesIO(body)).infolist()]
    assert kinds == [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_STORED]


def test_an_archive_of_nothing_is_an_archive() -> None:
    assert unzip(b"".join(write_zip([]))) == {}


def test_a_file_that_is_gone_is_left_out() -> None:
    def gone() -> Iterator[bytes]:
        raise FileNotFoundError
        yield b""

    body = b"".join(write_zip([ZipEntry("a", gone), entry("b", b"b")]))
    assert unzip(body) == {"b": b"b"}


def test_entries_are_asked_for_one_after_the_other() -> None:
    asked: list[str] = []

    def entries() -> Iterator[ZipEntry]:
        for name in "abc":
            asked.append(name)
            yield entry(name, b"x")

    archive = write_zip(entries())
    next(archive)
    assert asked == ["a"]


def test_a_large_archive_is_never_whole_in_memory() -> None:
    block = b"x" * CHUNK_BYTES

    def large() -> Iterator[bytes]:
        for _block in range(256):
            yield block

    tracemalloc.start()
    sizes = [len(piece) for piece in write_zip([ZipEntry("large", large)])]
    _now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(sizes) > 64 << 20
    assert most < 4 << 20


async def test_who_stops_reading_closes_what_was_open() -> None:
    closed = []

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.append(True)

    stream = stream_zip([ZipEntry("endless", endless)])
    await anext(stream)
    await anext(stream)
    await stream.aclose()
    assert closed == [True]


def test_entries_carry_their_time(settings: object) -> None:
    moment = datetime(2026, 5, 4, 3, 2, 2, tzinfo=UTC)
    made = ZipEntry("a", lambda: pieces(b"x"), modified=moment)
    archive = zipfile.ZipFile(io.BytesIO(b"".join(write_zip([made]))))
    assert archive.getinfo("a").date_time == (2026, 5, 4, 3, 2, 2)
