"""What a backup says of itself: `manifest.json`, and `files.jsonl` with a line for each image file.

The manifest is written last and has the hash of every other part, so whoever has it and finds the
hashes right has the whole backup.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from webapp.operations.backups import BackupError

FORMAT = 1
MANIFEST, FILES, DATABASE, KEY = (
    "manifest.json",
    "files.jsonl",
    "database.dump",
    "secrets/secret_key",
)
MEDIA = "media"
NAME, NAME_OF_TIME = re.compile(r"darkroom-\d{8}T\d{6}Z"), "darkroom-%Y%m%dT%H%M%SZ"
ABANDONED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Part:
    """The size and the hash of one file of a backup."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A line of `files.jsonl`; without a part the file was gone when it was its turn."""

    name: str
    part: Part | None

    def as_line(self) -> bytes:
        """The line, with its end."""
        part = asdict(self.part) if self.part else {"gone": True}
        return (json.dumps({"name": self.name, **part}) + "\n").encode()

    @classmethod
    def from_line(cls, line: bytes) -> "MediaFile":
        """Raises BackupError if it is none."""
        try:
            said = json.loads(line)
            gone = bool(said.get("gone"))
            part = None if gone else Part(int(said["size_bytes"]), str(said["sha256"]))
            return cls(_inside(str(said["name"])), part)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackupError(f"{FILES} has a line that is none: {error}.") from error


def _inside(name: str) -> str:
    """The name, which leads nowhere but below the folder that it is put into. Raises ValueError."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{name} is no name of an image's file")
    return name


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that is known of a backup without reading the rest of it. `counts` are the rows of every
    table, `migrations` those that were applied."""

    made_at: str
    darkroom: str
    postgres: int
    archive: int
    migrations: Mapping[str, list[str]]
    counts: Mapping[str, int]
    images: int
    posted_ucr: int
    held_ucr: int
    files: int
    files_bytes: int
    gone: int
    parts: Mapping[str, Part]
    format: int = FORMAT

    def as_json(self) -> bytes:
        """Its file."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Manifest":
        """Raises BackupError if it is none of ours, or of a later form."""
        try:
            said: dict[str, Any] = json.loads(text)
            known = said["format"]
            parts = {name: Part(**part) for name, part in said["parts"].items()}
            manifest = cls(**{**said, "parts": parts}) if known == FORMAT else None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackupError(f"{MANIFEST} is not a manifest of Darkroom: {error}.") from error
        if manifest is None:
            raise BackupError(
                f"The backup has form {known}, and this version reads {FORMAT} alone."
            )
        return manifest

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return self.files_bytes + sum(part.size_bytes for part in self.parts.values())

    @property
    def time(self) -> datetime:
        """When the database was as it is in here."""
        return datetime.fromisoformat(self.made_at)


def name_of(at: datetime) -> str:
    """A backup's name: its time, so that names are in the order of time."""
    return at.astimezone(UTC).strftime(NAME_OF_TIME)


def is_left(name: str) -> bool:
    """Whether a half written backup of that name is a day old: nobody writes it any more."""
    if not NAME.fullmatch(name):
        return False
    begun = datetime.strptime(name, NAME_OF_TIME).replace(tzinfo=UTC)
    return datetime.now(UTC) - begun > ABANDONED


class Measured:
    """Pieces that are counted and hashed as they pass."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self._digest = hashlib.sha256()
        self._size_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._digest.update(piece)
            self._size_bytes += len(piece)
            yield piece

    @property
    def part(self) -> Part:
        """What has passed."""
        return Part(self._size_bytes, self._digest.hexdigest())
