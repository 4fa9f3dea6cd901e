"""Storages that nobody waits for with a database connection in hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from django.core.files.base import File
from django.core.files.storage import Storage

from webapp.core.connections import let_go_of_database

Words = ParamSpec("Words")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file in a listing: its whole name, its size, when it was written by the storage's own
    clock, and its MD5 in hexadecimal digits if the listing says it, else ""."""

    name: str
    size_bytes: int
    modified_at: datetime
    md5: str = ""


class PatientStorage(Storage):
    """A base before a storage's own: whatever it is asked, the database connection is given back
    first. A storage across a network raises StorageAway from each of these when it does not
    answer."""

    def ask(
        self, act: Callable[Words, Answer], *words: Words.args, **options: Words.kwargs
    ) -> Answer:
        """What the storage answers; a storage across a network bounds the wait here."""
        let_go_of_database()
        return act(*words, **options)

    def open(self, name: str, mode: str = "rb") -> "File[Any]":
        """The file. Raises FileNotFoundError if it is gone."""
        return self.ask(super().open, name, mode)

    def save(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        """Writes the file and returns the name under which it is stored."""
        return self.ask(super().save, name, content, max_length)

    def delete(self, name: str) -> None:
        """Deletes the file; one that is gone already is no error."""
        self.ask(super().delete, name)

    def delete_many(self, names: Sequence[str]) -> None:
        """Deletes all of them, in as few requests as the storage can; those that are gone already
        are no error."""
        for name in names:
            self.delete(name)

    def list_folder(self, folder: str) -> list[ListedFile]:
        """The files right in this folder; [] if there is no such folder."""
        raise NotImplementedError

    def exists(self, name: str) -> bool:
        """True if a file has this name."""
        return self.ask(super().exists, name)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """`(folders, files)` below the path."""
        return self.ask(super().listdir, path)

    def size(self, name: str) -> int:
        """The file's size in bytes."""
        return self.ask(super().size, name)

    def get_modified_time(self, name: str) -> datetime:
        """When the file was written, by the storage's own clock."""
        return self.ask(super().get_modified_time, name)
