"""The servers run for an ordinary user, and for root without being root."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.embedded.harness import PROJECT, Running, processes_of
from webapp.embedded.binaries import POSTGRES_WHEEL, VALKEY_WHEEL, wheel_folder
from webapp.embedded.errors import DataFolderError
from webapp.embedded.identity import server_identity
from webapp.embedded.paths import VarLayout
from webapp.embedded.servers import embedded_servers

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
ENOUGH = "import sys, ssl, ctypes; sys.exit(sys.version_info < (3, 11))"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def _python_for_nobody() -> str | None:
    """The path of a Python that an ordinary user can run; ours may lie in root's home."""
    if os.geteuid() != 0 or shutil.which(NOBODY[0]) is None:
        return None
    for path in (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"):
        # A shell in between: setpriv itself still starts programs with root's reach.
        command = [*NOBODY, "sh", "-c", 'exec "$0" -I -c "$1"', path, ENOUGH]
        if subprocess.run(command, capture_output=True, check=False, timeout=300).returncode == 0:
            return path
    return None


PYTHON = _python_for_nobody()
needs_reachable_python = pytest.mark.skipif(
    PYTHON is None, reason="needs root, setpriv, and a Python that an ordinary user can run"
)


@pytest.fixture(scope="module")
def public_place() -> Iterator[Path]:
    """A folder that everybody reaches, with the package and the wheels in it."""
    with tempfile.TemporaryDirectory(prefix="darkroom-test-") as name:
        place = Path(name)
        place.chmod(0o755)
        (place / "webapp").mkdir()
        (place / "webapp" / "__init__.py").touch()
        shutil.copytree(PROJECT / "webapp" / "embedded", place / "webapp" / "embedded")
        _copy_wheels(place)
        yield place


def _copy_wheels(place: Path) -> None:
    postgres, valkey = wheel_folder(POSTGRES_WHEEL), wheel_folder(VALKEY_WHEEL)
    assert postgres is not None
    assert valkey is not None
    install = Path(POSTGRES_WHEEL) / "pginstall18"
    shutil.copytree(postgres.parent / install, place / install, symlinks=True)
    (place / POSTGRES_WHEEL / "__init__.py").touch()
    libraries = f"{POSTGRES_WHEEL}.libs"
    shutil.copytree(postgres.parent / libraries, place / libraries)
    shutil.copytree(valkey, place / VALKEY_WHEEL)


@pytest.fixture
def no_namespaces(tmp_path: Path) -> dict[str, str]:
    """An environment in which the kernel seems to refuse user namespaces, as in a container."""
    (tmp_path / "bin").mkdir()
    refusal = tmp_path / "bin" / "unshare"
    refusal.write_text("#!/bin/sh\nexit 1\n")
    refusal.chmod(0o755)
    return {"PATH": f"{refusal.parent}:{os.environ['PATH']}"}


def _servers(place: Path, var: Path) -> list[str]:
    assert PYTHON is not None
    # Not `-m` from the project: the copy must be what runs.
    code = f"import sys; sys.path.insert(0, {str(place)!r}); import runpy; "
    code += f"sys.argv[1:] = ['servers', '--var', {str(var)!r}]; "
    code += "runpy.run_module('webapp.embedded', run_name='__main__')"
    return [PYTHON, "-I", "-S", "-c", code]


def _owners_of(pids: list[int]) -> set[int]:
    return {Path(f"/proc/{pid}").stat().st_uid for pid in pids}


@needs_reachable_python
def test_an_ordinary_user_runs_the_servers(
    start: Callable[..., Running], public_place: Path
) -> None:
    home = public_place / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)

    running = start([*NOBODY, *_servers(public_place, home / "var")])

    running.wait_for("REDIS_URL=")
    assert _owners_of(processes_of(home)) == {65534}


@needs_root
def test_root_runs_postgresql_outside_root(tmp_path: Path) -> None:
    with (
        embedded_servers(tmp_path, fsync=False) as urls,
        psycopg.connect(urls.postgres) as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)

    assert (tmp_path / "postgres").stat().st_uid == 0


@needs_reachable_python
def test_root_without_namespaces_hands_the_servers_to_nobody(
    start: Callable[..., Running], public_place: Path, no_namespaces: dict[str, str]
) -> None:
    var = public_place / "by-root"
    command = _servers(public_place, var)
    running = start(command, no_namespaces)
    running.wait_for("REDIS_URL=")

    supervised = [pid for pid in processes_of(var) if pid != running.pid]

    assert _owners_of(supervised) == {65534}
    with psycopg.connect(VarLayout(var).postgres_url()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    running.end()
    again = start(command)  # namespaces work now, and the data is nobody's already
    again.wait_for("REDIS_URL=")


@needs_root
def test_root_is_told_when_the_servers_cannot_reach_their_folders(
    tmp_path: Path, no_namespaces: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", no_namespaces["PATH"])
    tmp_path.chmod(0o700)

    with pytest.raises(DataFolderError, match=r"user nobody cannot reach .* ordinary user"):
        server_identity(tmp_path / "postgres").require_reach(tmp_path / "postgres")
