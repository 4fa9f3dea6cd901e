"""The proxy loses the answer to the commit it was told of, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.faults.cutting_proxy import CuttingProxy, order, unix_socket

SERVER = conninfo_to_dict(os.environ["DATABASE_URL"])


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[CuttingProxy]:
    folder, port = str(SERVER["host"]), int(SERVER.get("port") or 5432)
    with CuttingProxy(upstream=unix_socket(Path(folder), port), listen=("127.0.0.1", 0)) as running:
        with psycopg.connect(os.environ["DATABASE_URL"]) as database:
            database.execute("CREATE TABLE cut_notes (note text)")
        yield running
        with psycopg.connect(os.environ["DATABASE_URL"]) as database:
            database.execute("DROP TABLE cut_notes")


def through(proxy: CuttingProxy, *, autocommit: bool = False) -> psycopg.Connection:
    url = make_conninfo(os.environ["DATABASE_URL"], host=proxy.address[0], port=proxy.address[1])
    return psycopg.connect(url, autocommit=autocommit)


def notes() -> list[str]:
    with psycopg.connect(os.environ["DATABASE_URL"]) as database:
        return [note for (note,) in database.execute("SELECT note FROM cut_notes ORDER BY note")]


def write(database: psycopg.Connection, note: str) -> None:
    database.execute("INSERT INTO cut_notes VALUES (%s)", [note])


def test_an_armed_commit_is_durable_and_its_answer_lost(proxy: CuttingProxy) -> None:
    with closing(through(proxy)) as database:
        write(database, "before")
        database.commit()
        proxy.arm(text="INSERT INTO cut_notes")
        write(database, "lost answer")
        with pytest.raises(psycopg.OperationalError):
            database.commit()
    proxy.wait_until_cut(1)
    assert notes() == ["before", "lost answer"]


def test_only_the_commit_of_a_transaction_with_the_text_is_cut(proxy: CuttingProxy) -> None:
    proxy.arm(text="DELETE FROM")
    with closing(through(proxy)) as database:
        write(database, "another")
        database.commit()
        write(database, "undone")
        database.execute("DELETE FROM cut_notes")
        database.rollback()
        assert proxy.cuts == 0
        database.execute("DELETE FROM cut_notes")
        with pytest.raises(psycopg.OperationalError):
            database.commit()
    assert notes() == []


def test_a_transaction_that_came_back_to_a_savepoint_is_cut_at_its_commit(
    proxy: CuttingProxy,
) -> None:
    proxy.arm(text="kept")
    with closing(through(proxy)) as database:
        database.execute("INSERT INTO cut_notes VALUES ('kept')")
        with database.transaction(force_rollback=True):
            write(database, "dropped")
        with pytest.raises(psycopg.OperationalError):
            database.commit()
    assert notes() == ["kept"]


def test_statements_in_autocommit_prepared_ones_and_pipelines_are_cut(proxy: CuttingProxy) -> None:
    with closing(through(proxy, autocommit=True)) as database:
        for _time in range(8):  # the driver prepares a statement after five times
            database.execute("INSERT INTO cut_notes VALUES (%s)", ["a"], prepare=True)
        proxy.arm(text="INSERT", times=2)
        with pytest.raises(psycopg.OperationalError):
            database.execute("INSERT INTO cut_notes VALUES (%s)", ["a"], prepare=True)
    with pytest.raises(psycopg.OperationalError), through(proxy) as database, database.pipeline():
        write(database, "b")
    assert notes() == ["a"] * 9 + ["b"]
    assert proxy.cuts == 2


def test_a_proxy_in_a_process_of_its_own_takes_orders(proxy: CuttingProxy, tmp_path: Path) -> None:
    upstream = f"{proxy.address[0]}:{proxy.address[1]}"
    control, listen = tmp_path / "control", unix_socket(tmp_path)
    words = ["--upstream", upstream, "--listen", listen, "--control", str(control)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.cutting_proxy", *words], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        assert order(control, text="cut_notes", times=1) == {"cuts": 0, "orders": 1}
        url = make_conninfo(os.environ["DATABASE_URL"], host=str(tmp_path), port="5432")
        with closing(psycopg.connect(url)) as database:
            write(database, "told from outside")
            with pytest.raises(psycopg.OperationalError):
                database.commit()
        assert order(control) == {"cuts": 1, "orders": 0}
        assert notes() == ["told from outside"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
