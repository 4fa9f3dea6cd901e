"""Copying a studio's images from one storage to the other: `manage.py media move`.

There is no list of what was done: the two listings of each folder say what is missing, so a move
can be broken off anywhere, run again, and run while the studio draws. A file counts as copied only
if both sides have the same size and the same bytes, and nothing else is ever deleted.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from django.core.files.base import ContentFile

from webapp.core.storages import ListedFile, PatientStorage
from webapp.generation.orphans import FOLDERS
from webapp.generation.storage import storage_errors

AT_ONCE = 8  # files: a bucket across a network is mostly waited for


class Became(Enum):
    """What became of a file: it was there already, it was copied, it went meanwhile, or what was
    written reads otherwise."""

    THERE, COPIED, GONE, DIFFERS = range(4)


@dataclass(frozen=True, slots=True)
class Moved:
    """A folder whose files were looked at: what became of each, the bytes that were copied, and how
    many files were deleted at the source."""

    folder: str
    became: tuple[Became, ...]
    copied_bytes: int
    deleted: int


class Mover:
    """Copies from `source` to `target`; with `delete`, what both have alike goes at the source."""

    def __init__(self, source: PatientStorage, target: PatientStorage, *, delete: bool) -> None:
        self.source = source
        self.target = target
        self.delete = delete

    def run(self) -> Iterator[Moved]:
        """Each folder after it was moved. Raises StorageAway; what was copied by then stays."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="media move") as pool:
            for folder in FOLDERS:
                with storage_errors():
                    moved = self._move_folder(folder, pool)
                yield moved

    def _move_folder(self, folder: str, pool: ThreadPoolExecutor) -> Moved:
        here = [one for one in self.source.list_folder(folder) if not _is_draft(one)]
        listed = self.target.list_folder(folder) if here else []
        there = {one.name: one for one in listed}
        became = tuple(pool.map(lambda one: self._move_file(one, there.get(one.name)), here))
        pairs = list(zip(here, became, strict=True))
        safe = [one.name for one, end in pairs if end in {Became.THERE, Became.COPIED}]
        if self.delete:
            self.source.delete_many(safe)
        copied_bytes = sum(one.size_bytes for one, end in pairs if end is Became.COPIED)
        return Moved(folder, became, copied_bytes, len(safe) if self.delete else 0)

    def _move_file(self, here: ListedFile, there: ListedFile | None) -> Became:
        try:
            if there is not None and self._is_alike(here, there):
                return Became.THERE
            content = _read(self.source, here.name)
        except FileNotFoundError:
            return Became.GONE
        if there is not None:
            self.target.delete(here.name)
        self.target.save(here.name, ContentFile(content))
        return Became.COPIED if self._has(here.name, content) else Became.DIFFERS

    def _has(self, name: str, content: bytes) -> bool:
        try:
            return _read(self.target, name) == content
        except FileNotFoundError:
            return False

    def _is_alike(self, here: ListedFile, there: ListedFile) -> bool:
        """Whether both are the same. An MD5 of a listing saves reading the file; one that differs
        may be none, as where a bucket encrypts, and the files are read. Raises
        FileNotFoundError."""
        if here.size_bytes != there.size_bytes:
            return False
        if (here.md5 or _md5(_read(self.source, here.name))) == there.md5:
            return True
        if here.md5 and here.md5 == _md5(_read(self.target, there.name)):
            return True
        return _read(self.source, here.name) == _read(self.target, there.name)


def _is_draft(file: ListedFile) -> bool:
    return file.name.rpartition("/")[2].startswith(".")


def _read(storage: PatientStorage, name: str) -> bytes:
    with storage.open(name) as file:
        return bytes(file.read())


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
