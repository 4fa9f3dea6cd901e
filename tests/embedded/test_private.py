"""What is made below `var` is for the user who runs Darkroom, and for no other local user."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from webapp.embedded.paths import VarLayout
from webapp.embedded.private import close_to_others, open_private, readable_by_others
from webapp.embedded.servers import embedded_servers


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    """The umask of most shells, under which nothing is private by itself."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def open_below(folder: Path) -> list[Path]:
    return [one for one in (folder, *folder.rglob("*")) if mode_of(one) & 0o077]


def test_the_servers_leave_nothing_open_whoever_started_them(tmp_path: Path) -> None:
    with embedded_servers(tmp_path / "var", fsync=True):
        assert open_below(tmp_path / "var") == []


def test_an_open_folder_is_closed_with_all_that_is_in_it(tmp_path: Path) -> None:
    inner = tmp_path / "media" / "images"
    inner.mkdir(parents=True)
    (inner / "one.png").touch()
    os.mkfifo(inner / "pipe")

    assert close_to_others(tmp_path / "media") == []

    assert open_below(tmp_path / "media") == []
    assert mode_of(inner) == 0o700
    assert mode_of(inner / "one.png") == 0o600


def test_a_closed_folder_is_not_walked_through(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir(mode=0o700)
    (tmp_path / "media" / "one.png").touch()

    assert close_to_others(tmp_path / "media") == []

    assert mode_of(tmp_path / "media" / "one.png") == 0o644


def test_what_a_link_points_at_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    assert close_to_others(tmp_path / "media") == close_to_others(tmp_path / "link") == []

    assert mode_of(tmp_path / "elsewhere") == 0o644


def test_nothing_there_is_nothing_to_close(tmp_path: Path) -> None:
    assert close_to_others(tmp_path / "nowhere") == []


def test_what_cannot_be_closed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.png").touch()
    (tmp_path / "two.png").touch()
    closing = Path.chmod

    def refuse(path: Path, mode: int) -> None:
        if path.name == "one.png":
            raise PermissionError
        closing(path, mode)

    monkeypatch.setattr(Path, "chmod", refuse)
    tmp_path.chmod(0o755)

    assert close_to_others(tmp_path) == [tmp_path / "one.png"]
    assert mode_of(tmp_path / "two.png") == 0o600
    assert close_to_others(tmp_path / "one.png") == [tmp_path / "one.png"]


def test_a_private_file_keeps_what_is_in_it_only_if_asked(tmp_path: Path) -> None:
    for flags in (os.O_APPEND, os.O_APPEND, os.O_TRUNC):
        with open(open_private(tmp_path / "file", flags), "w") as file:
            file.write("x")
    assert (tmp_path / "file").read_text() == "x"
    assert mode_of(tmp_path / "file") == 0o600


def test_files_for_everybody_are_made_so_only_meanwhile(tmp_path: Path) -> None:
    os.umask(0o077)
    with readable_by_others():
        (tmp_path / "served.css").touch()
    (tmp_path / "kept.png").touch()
    assert (mode_of(tmp_path / "served.css"), mode_of(tmp_path / "kept.png")) == (0o644, 0o600)


def test_every_folder_of_the_layout_is_private_or_named_here(tmp_path: Path) -> None:
    """A new one cannot be forgotten: it is closed, or it stands here."""
    layout = VarLayout(tmp_path)
    layout.beat_schedule.touch()
    folders = {
        getattr(layout, name)
        for name, found in vars(VarLayout).items()
        if isinstance(found, property) and name not in {"private", "valkey_socket"}
    }
    # PostgreSQL closes its own.
    of_postgres = {layout.postgres_data, layout.postgres_upgraded}
    assert folders - set(layout.private) == {layout.static, *of_postgres}
