"""The data of the embedded PostgreSQL, taken to another major version by dump and load.

Both servers run, the old one on its own folder; what it has goes in one stream into a new folder.
When every table has as many rows there as here, the folders change names. The old one is kept.
"""

import shutil
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from webapp.embedded.binaries import (
    find_dump_program,
    find_postgres_bin,
    find_postgres_of,
    postgres_major,
)
from webapp.embedded.dumps import dumped, load
from webapp.embedded.errors import DataFolderError, DumpFailedError
from webapp.embedded.output import say
from webapp.embedded.paths import VarLayout
from webapp.embedded.postgres import data_major, postgres_service, prepare_postgres
from webapp.embedded.supervisor import Supervisor

COUNT_S = 3600.0
ROOM_FACTOR = 1.2
GIGABYTE = 1_000_000_000
TABLES = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


def upgrade_postgres(layout: VarLayout) -> Path:
    """Take the data to the major version that this installation brings; return where the old data
    is kept. Nothing else may run in this folder.

    Raises DataFolderError (there is nothing to do, no way, or no room), DumpFailedError or another
    EmbeddedError; then the old data is where it was.
    """
    theirs, ours = _require_older(layout)
    old_bin = find_postgres_of(theirs)
    _require_room(layout.postgres_data)
    beside = VarLayout(layout.var_dir / "postgres-upgrade")
    with Supervisor(layout, catch_signals=False) as supervisor:
        _remove(beside.var_dir)
        say(f"PostgreSQL {theirs} to {ours}: this takes a while, and nothing is lost if it fails")
        old = replace(postgres_service(layout, old_bin), name="postgres-old")
        supervisor.start([old, prepare_postgres(beside)])
        _pour(layout, beside, ours)
        _require_same_rows(layout, beside, old_bin)
    return _change_names(layout, beside, theirs)


def _require_older(layout: VarLayout) -> tuple[int, int]:
    if not layout.postgres_data.exists():
        raise DataFolderError(f"{layout.postgres_data} is not there: there is nothing to upgrade.")
    theirs, ours = data_major(layout.postgres_data), postgres_major(find_postgres_bin())
    if theirs == ours:
        raise DataFolderError(f"{layout.postgres_data} is of PostgreSQL {ours} already.")
    if theirs > ours:
        raise DataFolderError(
            f"{layout.postgres_data} is of PostgreSQL {theirs}, and this installation brings"
            f" {ours}: there is no way back to an older one."
        )
    return theirs, ours


def _require_room(data: Path) -> None:
    wanted_bytes = ROOM_FACTOR * sum(
        path.lstat().st_size for path in data.rglob("*") if path.is_file()
    )
    free_bytes = shutil.disk_usage(data).free
    if free_bytes < wanted_bytes:
        raise DataFolderError(
            f"{data.parent} has {free_bytes / GIGABYTE:.2f} GB free, and the new data may need"
            f" {wanted_bytes / GIGABYTE:.2f} GB beside the old."
        )


def _pour(source: VarLayout, target: VarLayout, major: int) -> None:
    dump_program = find_dump_program("pg_dump", major=major)
    with dumped(dump_program, conninfo=source.postgres_url()) as pieces:
        load(find_dump_program("pg_restore", major=major), pieces, conninfo=target.postgres_url())


def _require_same_rows(old: VarLayout, new: VarLayout, bin_dir: Path) -> None:
    before, after = _count_rows(old, bin_dir), _count_rows(new, bin_dir)
    if before != after:
        raise DumpFailedError(f"The new data has {after} rows, and the old {before}.")


def _count_rows(layout: VarLayout, bin_dir: Path) -> dict[str, int]:
    tables = _ask(layout, bin_dir, TABLES)
    counts = (f"SELECT '{name}', COUNT(*) FROM public.{name}" for name in tables)  # noqa: S608
    rows = (line.rpartition("|") for line in _ask(layout, bin_dir, " UNION ALL ".join(counts)))
    return {name: int(count) for name, _bar, count in rows}


def _ask(layout: VarLayout, bin_dir: Path, query: str) -> list[str]:
    if not query:
        return []
    command = [str(bin_dir / "psql"), "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    answer = subprocess.run(  # noqa: S603
        [*command, "-c", query, layout.postgres_url()],
        capture_output=True,
        text=True,
        check=False,
        timeout=COUNT_S,
    )
    if answer.returncode:
        raise DumpFailedError(f"psql: {answer.stderr.strip()}")
    return answer.stdout.split()


def _change_names(layout: VarLayout, beside: VarLayout, theirs: int) -> Path:
    """Each step leaves what `prepare_postgres` goes on from: the old data in its place, or none
    there and the new data whole under a name that is given to nothing else."""
    kept = _free_name(layout.postgres_data.with_name(f"postgres-{theirs}"))
    _remove(layout.postgres_upgraded)
    beside.postgres_data.rename(layout.postgres_upgraded)
    layout.postgres_data.rename(kept)
    layout.postgres_upgraded.rename(layout.postgres_data)
    _remove(beside.var_dir)
    return kept


def _free_name(path: Path) -> Path:
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, 100))]
    return next(name for name in names if not name.exists())


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
