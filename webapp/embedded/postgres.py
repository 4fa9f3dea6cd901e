"""The embedded PostgreSQL: make its data folder, and say how to run it.

The wheel's own `get_server()` is not used: as root it adds a system user and opens every parent
folder to everybody. Only Unix sockets in a private folder are served, so authentication is trust.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from webapp.embedded.binaries import find_postgres_bin, postgres_major
from webapp.embedded.errors import DataFolderError, StartFailedError
from webapp.embedded.identity import Identity, server_identity
from webapp.embedded.paths import VarLayout
from webapp.embedded.process import Service

# The application's role is no superuser: triggers that protect the ledger bind it.
FIRST_STATEMENTS = """\
CREATE ROLE darkroom LOGIN CREATEDB;
CREATE DATABASE darkroom OWNER darkroom;
"""
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "random_page_cost": "1.1",
    # Containers give little /dev/shm, which parallel queries need.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
THROW_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
STATUS_LINE = 7  # of postmaster.pid, counted from 0; pg_ctl waits for it, too
FIRST_BUILTIN_LOCALE = 17
SYSTEM_LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"


def prepare_postgres(layout: VarLayout, *, fsync: bool = True) -> Service:
    """Return the service, its data folder made if there was none.

    `fsync=False` is for throw-away data only: a power cut may destroy it. Raises
    BinaryNotFoundError, DataFolderError (another major version, an unreachable folder) or
    StartFailedError (initdb).
    """
    bin_dir = find_postgres_bin()
    layout.create()
    if layout.postgres_upgraded.exists() and not layout.postgres_data.exists():
        layout.postgres_upgraded.rename(layout.postgres_data)  # an upgrade was stopped there
    if not layout.postgres_data.exists():
        identity = server_identity(layout.postgres_data)
        identity.open_way_through(layout.var_dir)
        identity.require_reach(bin_dir / "postgres")
        _create_data(layout.postgres_data, bin_dir, identity, fsync=fsync)
    _require_same_major(layout.postgres_data, postgres_major(bin_dir))
    return postgres_service(layout, bin_dir, fsync=fsync)


def postgres_service(layout: VarLayout, bin_dir: Path, *, fsync: bool = True) -> Service:
    """Return the service of a data folder that is there, run by the programs in `bin_dir`. Raises
    DataFolderError if the server's user cannot reach it."""
    identity = server_identity(layout.postgres_data)
    identity.open_way_through(layout.var_dir)
    identity.adopt(layout.create_run(owner_uid=identity.owner_uid))
    identity.require_reach(bin_dir / "postgres")
    identity.require_reach(layout.postgres_data / "PG_VERSION")
    return _service(layout, bin_dir, identity, fsync=fsync)


def data_major(data: Path) -> int:
    """Return the major version that a data folder is of."""
    return int((data / "PG_VERSION").read_text(encoding="ascii").strip())


def _service(layout: VarLayout, bin_dir: Path, identity: Identity, *, fsync: bool) -> Service:
    settings = {
        **SETTINGS,
        **(DURABLE if fsync else THROW_AWAY),
        "unix_socket_directories": str(layout.run),
    }
    words = [f"--{name}={value}" for name, value in settings.items()]
    data = layout.postgres_data
    return Service(
        name="postgres",
        argv=(str(bin_dir / "postgres"), "-D", str(data), *words),
        env=_environment(),
        ready=lambda pid: _accepts(data, pid),
        # "fast": end the sessions, write a checkpoint. SIGTERM would wait for every client.
        stop_signal=signal.SIGINT,
        stop_timeout_s=30,
        orphan_signal=signal.SIGINT,
        echo=False,
        prefix=identity.prefix,
    )


def _create_data(data: Path, bin_dir: Path, identity: Identity, *, fsync: bool) -> None:
    # Made beside its place and then renamed: a folder that exists is always complete.
    unfinished = data.with_name(f"{data.name}.new")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    identity.adopt(unfinished)
    identity.require_reach(unfinished)
    _run(_initdb_command(unfinished, bin_dir, fsync=fsync), identity)
    single = [str(bin_dir / "postgres"), "--single", "-D", str(unfinished)]
    _run([*single, "-c", "exit_on_error=on", "postgres"], identity, statements=FIRST_STATEMENTS)
    unfinished.rename(data)


def _initdb_command(data: Path, bin_dir: Path, *, fsync: bool) -> list[str]:
    command = [str(bin_dir / "initdb"), "-D", str(data), "--username=postgres", "--auth=trust"]
    command += ["--encoding=UTF8", f"--locale={SYSTEM_LOCALE}"]
    if postgres_major(bin_dir) >= FIRST_BUILTIN_LOCALE:
        # Sorting that no upgrade of the C library can change under the indexes.
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return command if fsync else [*command, "--no-sync"]


def _run(command: Sequence[str], identity: Identity, *, statements: str = "") -> None:
    answer = subprocess.run(  # noqa: S603
        [*identity.prefix, *command],
        input=statements,
        capture_output=True,
        text=True,
        env=_environment(),
        start_new_session=True,  # Ctrl-C at the terminal is the supervisor's business
        check=False,
    )
    if answer.returncode:
        raise StartFailedError(f"{Path(command[0]).name} failed:\n{answer.stderr.strip()}")


def _environment() -> dict[str, str]:
    # PGDATA, PGHOST and the like of the user's shell must not reach the server.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C"}


def _require_same_major(data: Path, ours: int) -> None:
    theirs = data_major(data)
    if theirs == ours:
        return
    if theirs > ours:
        raise DataFolderError(
            f"{data} was written by PostgreSQL {theirs}, and this installation brings {ours}: start"
            f" with DARKROOM_POSTGRES_BIN set to the bin folder of PostgreSQL {theirs}."
        )
    raise DataFolderError(
        f"{data} was written by PostgreSQL {theirs}, and this installation brings {ours}: run"
        " make upgrade-postgres, which takes the data over and keeps the old."
    )


def _accepts(data: Path, pid: int) -> bool:
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    # A file left by an earlier, killed server names another process.
    ours = len(lines) > STATUS_LINE and lines[0].strip() == str(pid)
    return ours and lines[STATUS_LINE].strip() == "ready"
