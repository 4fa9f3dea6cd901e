"""The embedded PostgreSQL's data, taken from one major version to the next."""

from pathlib import Path

import psycopg
import pytest

from webapp.embedded import binaries, upgrading
from webapp.embedded.__main__ import main
from webapp.embedded.binaries import (
    OLDER_WHEEL_BIN,
    POSTGRES_WHEEL,
    find_dump_program,
    postgres_major,
    wheel_folder,
)
from webapp.embedded.errors import BinaryNotFoundError, DataFolderError, DumpFailedError
from webapp.embedded.paths import VarLayout
from webapp.embedded.servers import embedded_servers
from webapp.embedded.upgrading import upgrade_postgres

WHEEL = wheel_folder(POSTGRES_WHEEL)
OLD_BIN = str((WHEEL or Path()) / OLDER_WHEEL_BIN)
MARKS = 'SELECT count(*), min(word COLLATE "C") FROM marks'


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VarLayout:
    """A folder of PostgreSQL 16, with a table."""
    layout = VarLayout(tmp_path / "var")
    with monkeypatch.context() as patch:
        patch.setenv("DARKROOM_POSTGRES_BIN", OLD_BIN)
        with embedded_servers(layout.var_dir) as urls, psycopg.connect(urls.postgres) as connection:
            connection.execute("CREATE TABLE marks (id serial PRIMARY KEY, word text)")
            connection.execute(
                "INSERT INTO marks (word) SELECT 'w' || n FROM generate_series(1, 999) n"
            )
    assert (layout.postgres_data / "PG_VERSION").read_text().strip() == "16"
    return layout


def marks(layout: VarLayout) -> tuple[object, ...]:
    with embedded_servers(layout.var_dir) as urls, psycopg.connect(urls.postgres) as connection:
        row = connection.execute(MARKS).fetchone()
        assert row is not None
        assert connection.info.server_version // 10_000 == 18
        connection.execute("INSERT INTO marks (word) VALUES ('x')")  # the sequence came along
        connection.rollback()
        return tuple(row)


def test_the_start_says_how_and_the_upgrade_keeps_both(
    old: VarLayout, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataFolderError, match="run make upgrade-postgres"):
        marks(old)
    assert main(["upgrade", "--var", str(old.var_dir)]) == 0
    assert f"the old data is kept in {old.var_dir / 'postgres-16'}" in capfd.readouterr().out
    assert marks(old) == (999, "w1")
    assert (old.var_dir / "postgres-16" / "PG_VERSION").read_text().strip() == "16"
    assert not (old.var_dir / "postgres-upgrade").exists()
    with pytest.raises(DataFolderError, match="is of PostgreSQL 18 already"):
        upgrade_postgres(old)


def test_one_that_fails_leaves_the_old_data_where_it_was(
    old: VarLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_words: object) -> None:
        raise DumpFailedError("The new data has fewer rows.")

    with monkeypatch.context() as patch:
        patch.setattr(upgrading, "_require_same_rows", lose)
        with pytest.raises(DumpFailedError):
            upgrade_postgres(old)
    assert (old.postgres_data / "PG_VERSION").read_text().strip() == "16"
    upgrade_postgres(old)
    assert marks(old) == (999, "w1")


def test_one_that_is_stopped_between_two_names_goes_on_at_the_next_start(old: VarLayout) -> None:
    kept = upgrade_postgres(old)
    old.postgres_data.rename(old.postgres_upgraded)
    assert marks(old) == (999, "w1")
    assert kept.exists()


def test_there_is_no_upgrade_of_nothing_and_none_back(tmp_path: Path) -> None:
    layout = VarLayout(tmp_path)
    with pytest.raises(DataFolderError, match="there is nothing to upgrade"):
        upgrade_postgres(layout)
    layout.postgres_data.mkdir()
    (layout.postgres_data / "PG_VERSION").write_text("19\n")
    with pytest.raises(DataFolderError, match="no way back to an older one"):
        upgrade_postgres(layout)


def test_a_dump_program_is_of_the_servers_version_or_newer() -> None:
    for major in (16, 18):
        assert postgres_major(find_dump_program("pg_dump", major=major).parent) == major
    assert postgres_major(find_dump_program("pg_restore", major=17).parent) == 18


def test_one_that_is_too_old_is_told_with_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)'\n")
    old.chmod(0o755)
    monkeypatch.setattr(binaries, "_folders_of_programs", lambda: iter([tmp_path]))
    assert find_dump_program("pg_dump", major=15) == old
    with pytest.raises(BinaryNotFoundError) as refused:
        find_dump_program("pg_dump", major=18)
    assert "needs pg_dump 18 or newer (found: 15): install postgresql-client-18" in str(
        refused.value
    )


def test_a_program_that_hangs_does_not_hang_the_one_who_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(binaries, "TELL_VERSION_S", 0.2)
    with pytest.raises(BinaryNotFoundError, match="does not tell its version"):
        binaries.program_major(program)
