"""Run servers as somebody other than root: PostgreSQL refuses to start as root."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from webapp.embedded.errors import DataFolderError
from webapp.embedded.process import GUARD


@dataclass(frozen=True)
class Identity:
    """What to put before a server's command, and who must own its folders (None: we do)."""

    prefix: tuple[str, ...] = ()
    owner: pwd.struct_passwd | None = None

    @property
    def owner_uid(self) -> int | None:
        return self.owner.pw_uid if self.owner else None

    def adopt(self, folder: Path) -> None:
        """Give `folder` and what is in it to the owner, if there is one."""
        if self.owner is None:
            return
        for path in (folder, *folder.rglob("*")):
            if path.lstat().st_uid != self.owner.pw_uid:
                os.chown(path, self.owner.pw_uid, self.owner.pw_gid, follow_symlinks=False)

    def open_way_through(self, folder: Path) -> None:
        """Let the owner, if there is one, pass through `folder`, which stays ours; nobody but
        us can list it."""
        if self.owner is not None:
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)

    def require_reach(self, path: Path) -> None:
        """Raise DataFolderError when the server's user cannot get to `path`."""
        # Asked of `test`, after the change of user: setpriv itself still has root's reach.
        if self.owner is None or _succeeds((*self.prefix, "test", "-r", str(path))):
            return
        raise DataFolderError(
            f"The servers must not run as root, and the user {self.owner.pw_name} cannot reach "
            f"{path}: start Darkroom as an ordinary user, or put it where that user can read."
        )


def server_identity(data_dir: Path) -> Identity:
    """Return how to run a server whose data is, or will be, in `data_dir`.

    An ordinary user runs it directly. Root runs it in a user namespace, in which it is not root
    while its files stay root's; if the kernel refuses that, or the data already belongs to
    somebody, as that user. Raises DataFolderError if neither is possible, or that user cannot
    reach this Python.
    """
    if os.geteuid() != 0 and _has_name(os.geteuid()):
        return Identity()
    keeper = data_dir.stat().st_uid if data_dir.exists() else os.geteuid()
    namespace = _namespace_prefix()
    if keeper == os.geteuid() and _succeeds((*namespace, "true")):
        return Identity(prefix=namespace)
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        raise DataFolderError("The servers need an ordinary user: start Darkroom as one.")
    identity = _as_user(_ordinary_user(keeper))
    for path in (Path(sys.executable), GUARD):
        identity.require_reach(path)
    return identity


def _as_user(user: pwd.struct_passwd) -> Identity:
    words = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    return Identity(prefix=words, owner=user)


def _namespace_prefix() -> tuple[str, ...]:
    user = _ordinary_user(1000)
    return ("unshare", "--user", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}")


def _ordinary_user(preferred_uid: int) -> pwd.struct_passwd:
    # initdb refuses a user number without a name, so the number must be in the user database.
    if preferred_uid and _has_name(preferred_uid):
        return pwd.getpwuid(preferred_uid)
    return pwd.getpwnam("nobody")


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _succeeds(command: tuple[str, ...]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
