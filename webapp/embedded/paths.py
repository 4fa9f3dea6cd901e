"""Where everything below `var/` lives; pure, so that settings can import it cheaply."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from webapp.embedded.errors import DataFolderError

# sun_path holds 108 bytes on Linux and 104 on macOS; PostgreSQL adds a lock file's suffix.
MAX_SOCKET_PATH_BYTES = 100
POSTGRES_SOCKET = ".s.PGSQL.5432"
VALKEY_SOCKET = "valkey.sock"
# Not tempfile.gettempdir(): a TMPDIR that differs between two shells would give two answers.
SHORT_PATHS = Path("/tmp")  # noqa: S108 - create_run() verifies the owner and the mode


@dataclass(frozen=True)
class VarLayout:
    """The folders of one installation; `var_dir` is made absolute with symbolic links followed."""

    var_dir: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "var_dir", self.var_dir.expanduser().resolve())

    @property
    def postgres_data(self) -> Path:
        return self.var_dir / "postgres"

    @property
    def postgres_upgraded(self) -> Path:
        """Return where an upgrade puts new data that is whole, until the old has left its place."""
        return self.var_dir / "postgres.upgraded"

    @property
    def valkey_data(self) -> Path:
        return self.var_dir / "valkey"

    @property
    def logs(self) -> Path:
        return self.var_dir / "logs"

    @property
    def secrets(self) -> Path:
        return self.var_dir / "secrets"

    @property
    def media(self) -> Path:
        return self.var_dir / "media"

    @property
    def static(self) -> Path:
        return self.var_dir / "static"

    @property
    def workers(self) -> Path:
        return self.var_dir / "workers"

    @property
    def lock(self) -> Path:
        return self.var_dir / "supervisor.lock"

    @property
    def run_state(self) -> Path:
        return self.var_dir / "run-state.json"

    @property
    def beat_schedule(self) -> Path:
        return self.var_dir / "beat-schedule"

    @property
    def run(self) -> Path:
        """Return the folder of the sockets: `var/run`, or a short one when that is too long."""
        beside_the_data = self.var_dir / "run"
        if len(os.fsencode(beside_the_data / POSTGRES_SOCKET)) <= MAX_SOCKET_PATH_BYTES:
            return beside_the_data
        digest = hashlib.sha256(os.fsencode(self.var_dir)).hexdigest()[:16]
        return SHORT_PATHS / f"darkroom-{os.getuid()}-{digest}"

    @property
    def valkey_socket(self) -> Path:
        return self.run / VALKEY_SOCKET

    @property
    def private(self) -> list[Path]:
        """Return what is our user's alone: all that is made here but `static`, which everybody is
        served, and PostgreSQL's folder, which it keeps closed itself."""
        folders = (self.logs, self.secrets, self.media, self.workers, self.valkey_data, self.run)
        named = ("mail", "models", "demo", "bench", "device", self.lock.name, self.run_state.name)
        schedules = self.var_dir.glob(f"{self.beat_schedule.name}*")
        return [*folders, *(self.var_dir / name for name in named), *schedules]

    def postgres_url(self) -> str:
        """Return the URL of the embedded database, over its Unix socket."""
        return f"postgresql://darkroom@/darkroom?host={quote(str(self.run), safe='')}"

    def valkey_url(self) -> str:
        """Return the URL of the embedded Valkey for redis-py."""
        return f"unix://{quote(str(self.valkey_socket))}?db=0"

    def celery_broker_url(self) -> str:
        """Return the URL of the embedded Valkey for Celery."""
        return f"redis+socket://{quote(str(self.valkey_socket))}?virtual_host=0"

    def create(self) -> None:
        """Make `var` and its logs with mode 0700, if there are none."""
        for folder in (self.var_dir, self.logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create_run(self, *, owner_uid: int | None = None) -> Path:
        """Create the socket folder with mode 0700 and return it.

        Raises DataFolderError when the name is taken by anything but a private folder of this
        user (or of `owner_uid`): below a shared folder it could be somebody else's trap.
        """
        self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self.run.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), owner_uid}:
            raise DataFolderError(f"{self.run} is not a folder of the user who runs Darkroom.")
        if found.st_mode & 0o077:
            raise DataFolderError(f"{self.run} is open to other users: chmod 700 it.")
        return self.run
