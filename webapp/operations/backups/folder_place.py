"""Backups below a folder."""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from webapp.embedded.private import open_private
from webapp.operations.backups import BackupError
from webapp.operations.backups.manifest import MANIFEST, NAME, is_left

PIECE_BYTES = 1 << 20
DRAFT = ".draft"
REASONS = {
    errno.ENOSPC: "no room is left on its disk",
    errno.EDQUOT: "no room is left on its disk",
    errno.EACCES: "this user may not read or write there",
    errno.EPERM: "this user may not read or write there",
    errno.EROFS: "it can only be read",
    errno.ENOENT: "it is not there",
    errno.ENOTDIR: "it is a file, or lies below one",
    errno.EEXIST: "it is a file, or lies below one",
}


class FolderPlace:
    """Below a folder, which is made if it is not there. All of it is its owner's alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.label = str(root)

    def list_backups(self) -> list[str]:
        with _told(self._root):
            names = os.listdir(self._root) if self._root.exists() else []
        ours = (name for name in names if NAME.fullmatch(name))
        return sorted(name for name in ours if (self._root / name / MANIFEST).is_file())

    def free_bytes(self) -> int | None:
        with _told(self._root):
            there = next(one for one in (self._root, *self._root.parents) if one.exists())
            return shutil.disk_usage(there).free

    def begin(self, name: str) -> None:
        with _told(self._root):
            _make_private(self._root)
            if (self._root / name).exists():
                raise BackupError(f"{self._root / name} is there already: say another folder.")
            self._draft(name).mkdir(mode=0o700)

    def write(self, name: str, file: str, pieces: Iterable[bytes]) -> None:
        path = self._draft(name) / file
        with _told(path):
            _make_private(path.parent)
            with open(open_private(path, os.O_EXCL), "wb") as target:
                for piece in pieces:
                    target.write(piece)

    def finish(self, name: str, manifest: bytes) -> None:
        self.write(name, MANIFEST, [manifest])
        with _told(self._root):
            os.sync()  # once for all of its files
            self._draft(name).rename(self._root / name)
            os.sync()

    def discard(self, name: str) -> None:
        shutil.rmtree(self._draft(name), ignore_errors=True)

    def read(self, name: str, file: str) -> Iterator[bytes]:
        path = self._root / name / file
        with _told(path), path.open("rb") as source:
            while piece := source.read(PIECE_BYTES):
                yield piece

    def delete(self, name: str) -> None:
        with _told(self._root):
            # First no backup any more: one that is half deleted must not be taken for one.
            (self._root / name).rename(self._draft(name))
            shutil.rmtree(self._draft(name))

    def delete_drafts(self) -> None:
        with _told(self._root):
            for draft in self._root.glob(f".*{DRAFT}"):
                if is_left(draft.name.removeprefix(".").removesuffix(DRAFT)):
                    shutil.rmtree(draft)

    def close(self) -> None:
        pass

    def _draft(self, name: str) -> Path:
        return self._root / f".{name}{DRAFT}"


def _make_private(folder: Path) -> None:
    """Makes it, and what it lies in, as far as it is not there, its owner's alone."""
    if not folder.is_dir():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raises BackupError for what the system says of the path."""
    try:
        yield
    except OSError as error:
        reason = REASONS.get(error.errno or 0, error.strerror or str(error))
        raise BackupError(f"{path}: {reason}.") from error
