"""Through a pooler in transaction mode: each transaction may run on another connection of the
server's, so nothing may be left behind that the next one relies on, or that locks others out."""

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from psycopg.conninfo import conninfo_to_dict

from webapp.operations.one_at_a_time import LOCK_ID, one_at_a_time
from webapp.postgres import base

PROJECT = Path(settings.BASE_DIR)
# What lasts as long as a session; `SET LOCAL` and pg_advisory_xact_lock end with a transaction.
LASTING = re.compile(
    r"(\A|; *)(SET (?!LOCAL\b)\w|LISTEN \w|NOTIFY \w|DECLARE \w|PREPARE \w|CREATE TEMP)"
    r"|pg_(try_)?advisory_lock"
)
PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


def texts_of(path: Path) -> list[str]:
    tree = ast.parse(path.read_text("utf-8"))
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [text for text in constants if isinstance(text, str)]


def test_no_statement_of_ours_lasts_longer_than_its_transaction_but_two_that_are_left_out() -> None:
    """`webapp/postgres/base.py` leaves its own out behind PgBouncer."""
    sources = [*(PROJECT / "webapp").rglob("*.py"), *(PROJECT / "worker").rglob("*.py")]
    found = [(path.name, text) for path in sources for text in texts_of(path)]
    lasting = [(name, text) for name, text in found if LASTING.search(text)]
    assert lasting == [
        ("base.py", "SET client_connection_check_interval = '2s'"),
        ("base.py", "SET idle_in_transaction_session_timeout = '2min'"),
    ]


def holders() -> list[int]:
    """Connections that hold the lock of `prepare`."""
    asked = (
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND (classid::bigint << 32) + objid::bigint = %s"
    )
    with psycopg.connect(os.environ["DATABASE_URL"]) as other:
        return [pid for (pid,) in other.execute(asked, [LOCK_ID])]


@pytest.mark.django_db
def test_the_lock_of_prepare_is_a_transactions_and_ends_with_it() -> None:
    with one_at_a_time():
        (holder,) = holders()
        with psycopg.connect(os.environ["DATABASE_URL"]) as other:
            state = other.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [holder])
            assert state.fetchone() == ("idle in transaction",)
        assert holder != connection.connection.info.backend_pid if connection.connection else True
    assert holders() == []


@pytest.mark.django_db
def test_the_server_does_not_end_it_for_its_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "SILENT_ENDS", base.SILENT_ENDS.replace("2min", "100ms"))
    with one_at_a_time():
        time.sleep(0.4)
        assert len(holders()) == 1


@pytest.fixture
def through_pgbouncer(tmp_path: Path, db: None) -> Iterator[str]:
    """The address of a PgBouncer with three connections for everybody: one for the work, and one
    for each of two that want to begin."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed")
    server = {
        key: str(value) for key, value in conninfo_to_dict(os.environ["DATABASE_URL"]).items()
    }
    name = connection.settings_dict["NAME"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    keys = ("host", "port", "user", "password")
    words = " ".join(f"{key}={server[key]}" for key in keys if server.get(key))
    (tmp_path / "pgbouncer.ini").write_text(
        f"[databases]\n* = {words}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        "unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\n"
        f"logfile = {tmp_path}/log\n"
    )
    # It does not run as root; the socket of a test's PostgreSQL is root's alone.
    as_somebody = ["unshare", "--user", "--map-user=1000"] if os.geteuid() == 0 else []
    process = subprocess.Popen([*as_somebody, PGBOUNCER, "pgbouncer.ini"], cwd=tmp_path)
    try:
        yield _answering(f"postgresql://any@127.0.0.1:{port}/{name}")
    finally:
        process.terminate()
        process.wait(20)


def _answering(url: str) -> str:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.2)
        else:
            return url
    pytest.fail("pgbouncer does not answer")


ITERATE = """
import django; django.setup()
from concurrent.futures import ThreadPoolExecutor
from django.contrib.contenttypes.models import ContentType
from webapp.operations.one_at_a_time import one_at_a_time
def work(_number):
    with one_at_a_time():
        return len(list(ContentType.objects.all().iterator(chunk_size=5)))
with ThreadPoolExecutor(2) as pool:
    print(set(pool.map(work, range(12))) - {0} and "fine")
"""


def run_with(url: str, is_said: str) -> "subprocess.CompletedProcess[str]":
    told = {"DATABASE_URL": url, "DARKROOM_PGBOUNCER": is_said}
    return subprocess.run(
        [sys.executable, "-c", ITERATE],
        cwd=PROJECT,
        env={**os.environ, **told, "DJANGO_SETTINGS_MODULE": "webapp.settings"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_rows_are_read_piece_by_piece_and_starts_take_turns(through_pgbouncer: str) -> None:
    done = run_with(through_pgbouncer, "true")
    assert done.stdout == "fine\n", done.stderr[-2000:]
    assert holders() == []
