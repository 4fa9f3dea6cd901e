"""PostgreSQL and Valkey start, answer, keep their data and stop."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from kombu import Connection

from tests.embedded.harness import Running, processes_of
from webapp.embedded.binaries import find_postgres_bin, find_valkey, postgres_major
from webapp.embedded.errors import BinaryNotFoundError, DataFolderError, StartFailedError
from webapp.embedded.paths import VarLayout
from webapp.embedded.postgres import prepare_postgres
from webapp.embedded.servers import ServerUrls, embedded_servers

pytestmark = pytest.mark.slow("real servers start again and again")


@pytest.fixture(scope="module")
def used_var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which servers have run once, under a name with a space."""
    var = tmp_path_factory.mktemp("my studio") / "var"
    with embedded_servers(var) as urls, psycopg.connect(urls.postgres) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('developed')")
        _valkey(urls).set("kept", "message")
    return var


@pytest.fixture
def urls(used_var: Path) -> Iterator[ServerUrls]:
    """Running servers, for the second time in their folder."""
    with embedded_servers(used_var) as urls:
        yield urls


def _valkey(urls: ServerUrls) -> redis.Redis:
    return redis.Redis.from_url(urls.valkey, decode_responses=True)


def _ask(urls: ServerUrls, question: str) -> object:
    with psycopg.connect(urls.postgres) as connection:
        row = connection.execute(question.encode()).fetchone()
    return row[0] if row else None


def test_both_servers_keep_their_data_across_a_restart(urls: ServerUrls) -> None:
    assert _ask(urls, "SELECT word FROM kept") == "developed"
    assert _valkey(urls).get("kept") == "message"


def test_celery_reaches_the_broker(urls: ServerUrls) -> None:
    with Connection(urls.celery_broker) as broker:
        broker.ensure_connection(max_retries=1)


def test_committed_data_is_durable_and_private(urls: ServerUrls) -> None:
    assert _ask(urls, "SELECT current_setting('fsync')") == "on"
    assert _ask(urls, "SELECT current_setting('synchronous_commit')") == "on"
    assert _ask(urls, "SELECT current_setting('listen_addresses')") == ""


def test_the_application_is_no_superuser_but_may_create_test_databases(urls: ServerUrls) -> None:
    rights = "SELECT rolsuper::text || ' ' || rolcreatedb::text FROM pg_roles"

    assert _ask(urls, f"{rights} WHERE rolname = current_user") == "false true"


def test_text_sorts_and_folds_beyond_ascii(urls: ServerUrls) -> None:
    assert _ask(urls, "SELECT lower('ÄÉ')") == "äé"
    assert _ask(urls, "SELECT current_setting('server_encoding')") == "UTF8"


def test_the_broker_refuses_rather_than_forgets(urls: ServerUrls) -> None:
    answer = _valkey(urls).config_get("maxmemory-policy", "port", "appendonly")

    assert answer == {"maxmemory-policy": "noeviction", "port": "0", "appendonly": "yes"}


def test_used_servers_are_ready_again_and_leave_no_process(used_var: Path) -> None:
    with embedded_servers(used_var):
        assert len(processes_of(used_var)) > 2

    assert processes_of(used_var) == []


def test_servers_stop_when_their_block_fails(used_var: Path) -> None:
    with pytest.raises(ZeroDivisionError), embedded_servers(used_var):
        _ = 1 / 0

    assert processes_of(used_var) == []


def test_throw_away_servers_do_not_sync(tmp_path: Path) -> None:
    with embedded_servers(tmp_path, fsync=False) as urls:
        assert _ask(urls, "SELECT current_setting('fsync')") == "off"
        assert _valkey(urls).config_get("appendonly") == {"appendonly": "no"}


def test_servers_run_below_a_path_too_long_for_sockets(tmp_path: Path) -> None:
    layout = VarLayout(tmp_path / ("long" * 30))

    with embedded_servers(layout.var_dir, fsync=False) as urls:
        assert _ask(urls, "SELECT 1") == 1
        assert _valkey(urls).ping()

    layout.run.rmdir()  # empty: both removed their sockets


def test_an_unfinished_data_folder_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("half written")

    prepare_postgres(VarLayout(tmp_path), fsync=False)

    major = postgres_major(find_postgres_bin())
    assert (tmp_path / "postgres" / "PG_VERSION").read_text().strip() == str(major)
    assert not (tmp_path / "postgres.new").exists()


def test_data_of_another_major_version_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("9\n")

    with pytest.raises(DataFolderError, match=r"PostgreSQL 9, .* make upgrade-postgres"):
        prepare_postgres(VarLayout(tmp_path))


def test_a_server_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "valkey" / "appendonlydir").mkdir(parents=True)
    manifest = tmp_path / "valkey" / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("no manifest\n")

    with pytest.raises(StartFailedError, match=r"valkey ended before it was ready(.|\n)*manifest"):
        run_briefly(tmp_path)

    assert processes_of(tmp_path) == []


def run_briefly(var: Path) -> None:
    with embedded_servers(var):
        pass


@pytest.mark.parametrize("name", ["DARKROOM_POSTGRES_BIN", "DARKROOM_VALKEY_BIN"])
def test_a_wrong_path_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv(name, str(tmp_path))

    with pytest.raises(BinaryNotFoundError, match=f"{name}={tmp_path}"):
        find_postgres_bin() if "POSTGRES" in name else find_valkey()


def test_the_environment_comes_before_the_wheel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("postgres", "initdb"):
        (tmp_path / name).symlink_to(find_postgres_bin() / name)
    monkeypatch.setenv("DARKROOM_POSTGRES_BIN", str(tmp_path))

    assert find_postgres_bin() == tmp_path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_servers_command_prints_urls_and_stops_on_a_signal(
    start: Callable[..., Running], used_var: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "webapp.embedded", "servers", "--var", str(used_var)]
    running = start(command)
    output = running.wait_for("REDIS_URL=")
    assert f"DATABASE_URL={VarLayout(used_var).postgres_url()}\n" in output
    assert f"REDIS_URL={VarLayout(used_var).valkey_url()}\n" in output

    running.send(number)

    assert running.exit_code() == 0
    assert processes_of(used_var) == []


def test_nothing_but_the_standard_library_is_imported(start: Callable[..., Running]) -> None:
    code = (
        "import sys, webapp.embedded.__main__; "
        "print(sorted({'django', 'celery', 'psycopg', 'redis'} & set(sys.modules)), 'seen')"
    )

    assert "[] seen" in start([sys.executable, "-c", code], dict(os.environ)).wait_for("seen")
