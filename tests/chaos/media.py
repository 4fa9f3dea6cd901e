"""Where images are stored, and how that place is made full, read-only, slow or absent.

A folder is a small filesystem in memory if a mount is allowed (the harness runs in a mount
namespace of its own, `unshare`); elsewhere a shim in the studio's processes raises the same errors
(`full_disk/sitecustomize.py`).
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from tests.chaos.keeper import Keeper

NAMESPACE = "CHAOS_NAMESPACE"  # set in the harness that runs inside
SIZE = "1g"
PAGE_BYTES = 4096
SHIM = Path(__file__).with_name("full_disk")


class Media(Protocol):
    """A storage of images."""

    how: str

    def start(self, keeper: Keeper) -> None:
        """Returns when it is there."""

    def settings(self) -> dict[str, str]:
        """What the studio's environment says of it."""

    def names(self) -> Iterator[str]:
        """Every file that lies there."""

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None if it is not there."""

    def begin(self, fault: str) -> None:
        """The storage is broken in this way from now on."""

    def end(self) -> None:
        """It is well again."""

    def keep(self, folder: Path) -> None:
        """What lies there, for whoever looks at the folder later."""


class Folder:
    """A folder, which lies in memory when that can be mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "media"
        self.folder.mkdir()
        self.fault = folder / "media-fault"
        self.is_mounted = bool(os.environ.get(NAMESPACE)) and self._mount(f"size={SIZE}")
        self.how = "tmpfs in a mount namespace" if self.is_mounted else "a shim (sitecustomize)"

    def start(self, keeper: Keeper) -> None:
        """It is."""

    def settings(self) -> dict[str, str]:
        """Where it lies; and the shim, when nothing else can break it."""
        told = {"DARKROOM_MEDIA": str(self.folder)}
        if not self.is_mounted:
            told |= {"PYTHONPATH": str(SHIM), "CHAOS_MEDIA_FAULT": str(self.fault)}
        return told

    def names(self) -> Iterator[str]:
        """Every file that lies there."""
        for path in self.folder.rglob("*"):
            if path.is_file():
                yield str(path.relative_to(self.folder))

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None if it is not there."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def begin(self, fault: str) -> None:
        """`storage_full` or `storage_read_only`."""
        if not self.is_mounted:
            self.fault.write_text("EROFS" if fault == "storage_read_only" else "ENOSPC")
        elif fault == "storage_read_only":
            _patiently(lambda: self._mount("remount,ro"))
        else:
            _patiently(lambda: self._mount(f"remount,size={self._used_bytes()}"))

    def end(self) -> None:
        """It is well again."""
        self.fault.unlink(missing_ok=True)
        if self.is_mounted:
            _patiently(lambda: self._mount(f"remount,rw,size={SIZE}"))

    def keep(self, folder: Path) -> None:
        """The mount is gone with the harness."""
        if self.is_mounted:
            shutil.copytree(self.folder, folder / "media-kept", dirs_exist_ok=True)

    def _mount(self, options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        return (
            subprocess.run(command, capture_output=True, check=False, timeout=300).returncode == 0
        )

    def _used_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return max(PAGE_BYTES, (found.f_blocks - found.f_bfree) * found.f_frsize)


def enter_namespace() -> None:
    """Runs this program again if it can mount for itself; returns if that is not possible,
    or it does already."""
    if os.environ.get(NAMESPACE) or not shutil.which("unshare"):
        return
    ways = [["--mount"]] if os.geteuid() == 0 else []
    for way in [*ways, ["--mount", "--user", "--map-root-user"]]:
        words = ["unshare", *way, "--propagation", "private"]
        with suppress(OSError):
            if (
                subprocess.run(
                    [*words, "true"], capture_output=True, check=False, timeout=300
                ).returncode
                == 0
            ):
                os.environ[NAMESPACE] = " ".join(way)
                ours = [sys.executable, "-m", "tests.chaos", *sys.argv[1:]]
                os.execvp("unshare", [*words, *ours])  # noqa: S606 - no shell is wanted


def _patiently(act: Callable[[], bool]) -> None:
    """A file that is being written keeps its filesystem from becoming read-only for a moment."""
    deadline = time.monotonic() + 5.0
    while not act() and time.monotonic() < deadline:
        time.sleep(0.05)
