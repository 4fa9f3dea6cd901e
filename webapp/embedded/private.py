"""What Darkroom writes is readable by the user it runs as, and by no other local user.

Three parts: the umask of every process, set where it begins (`guard.py` for what the supervisor
starts; `manage.py`, `webapp.asgi` and `webapp.celery` for what is started by hand or in a
container); modes named where a file is made; and `close_to_others` for what an older version left.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

UMASK = 0o077  # guard.py, which imports nothing of ours, repeats it
PUBLIC_UMASK = 0o022
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_files_private() -> None:
    """From now on this process and its children make files as 0600 and folders as 0700."""
    os.umask(UMASK)


@contextlib.contextmanager
def readable_by_others() -> Iterator[None]:
    """While entered, files are made as 0644 and folders as 0755: for what everybody is served.

    The umask is the whole process's: only for a command with one thread.
    """
    before = os.umask(PUBLIC_UMASK)
    try:
        yield
    finally:
        os.umask(before)


def open_private(path: Path, flags: int) -> int:
    """The descriptor of a file for writing, made with mode 0600 if there is none."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)


def close_to_others(top: Path) -> list[Path]:
    """Takes group's and others' rights from `top` and, if it had any, from all below it.

    A closed folder closes what is in it: one that is closed already is not walked through. Links
    are not followed, and what vanishes meanwhile is fine. Returns what could not be closed.
    """
    if not _is_open(top):
        return []
    if failed := _close(top):
        return failed
    walked = ((folder, [*folders, *files]) for folder, folders, files in os.walk(top))
    below = (Path(folder, name) for folder, names in walked for name in names)
    return [left for path in below for left in _close(path)]


def _is_open(path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return not stat.S_ISLNK(found.st_mode) and bool(found.st_mode & OTHERS)


def _close(path: Path) -> list[Path]:
    try:
        if _is_open(path):
            path.chmod(stat.S_IMODE(path.lstat().st_mode) & ~OTHERS)
    except FileNotFoundError:
        return []
    except OSError:  # somebody else's, or a file system without modes
        return [path]
    return []
