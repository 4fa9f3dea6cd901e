"""Where things lie, and the URLs that lead there."""

import os
from pathlib import Path

import pytest

from webapp.embedded.errors import DataFolderError
from webapp.embedded.paths import MAX_SOCKET_PATH_BYTES, POSTGRES_SOCKET, VarLayout

LONG = (
    "a folder with a name that goes on and on and on, and on again after that, and then some more"
)


def test_sockets_lie_beside_the_data(tmp_path: Path) -> None:
    assert VarLayout(tmp_path / "var").run == tmp_path.resolve() / "var" / "run"


def test_the_same_folder_by_another_name_is_the_same_installation(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / LONG)

    assert VarLayout(tmp_path / "link") == VarLayout(tmp_path / LONG)


def test_a_long_path_gets_a_short_private_socket_folder(tmp_path: Path) -> None:
    layout = VarLayout(tmp_path / LONG)

    run = layout.create_run()

    assert len(os.fsencode(run / POSTGRES_SOCKET)) <= MAX_SOCKET_PATH_BYTES
    assert run.stat().st_mode & 0o777 == 0o700
    assert VarLayout(tmp_path / LONG).run == run
    assert VarLayout(tmp_path / f"{LONG} 2").run != run
    run.rmdir()


def test_looking_up_a_path_creates_nothing(tmp_path: Path) -> None:
    VarLayout(tmp_path / "var").postgres_url()

    assert list(tmp_path.iterdir()) == []


def test_a_socket_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    layout = VarLayout(tmp_path)
    layout.run.mkdir()
    layout.run.chmod(0o755)

    with pytest.raises(DataFolderError, match="open to other users"):
        layout.create_run()


def test_a_link_in_place_of_the_socket_folder_is_refused(tmp_path: Path) -> None:
    layout = VarLayout(tmp_path / "var")
    layout.var_dir.mkdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    layout.run.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(DataFolderError, match="not a folder of the user"):
        layout.create_run()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    layout = VarLayout(tmp_path)
    layout.run.mkdir(mode=0o700)
    os.chown(layout.run, 65534, 65534)

    with pytest.raises(DataFolderError, match="not a folder of the user"):
        layout.create_run()


def test_urls_quote_what_a_path_may_hold() -> None:
    layout = VarLayout(Path("/srv/my studio"))

    assert layout.postgres_url() == (
        "postgresql://darkroom@/darkroom?host=%2Fsrv%2Fmy%20studio%2Frun"
    )
    assert layout.valkey_url() == "unix:///srv/my%20studio/run/valkey.sock?db=0"
    assert layout.celery_broker_url() == (
        "redis+socket:///srv/my%20studio/run/valkey.sock?virtual_host=0"
    )
