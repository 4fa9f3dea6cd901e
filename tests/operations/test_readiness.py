"""What machines ask: whether this process is alive, and whether the studio can do its work."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from webapp.accounts.models import User
from webapp.core.neighbours import StorageAway
from webapp.core.probes import PROBES
from webapp.generation.queueing.heartbeat import beat_once
from webapp.operations import readiness
from webapp.operations.readiness import Readiness, ReadinessWatch, StorageProbe, studio

WELL = {
    "status": "ok",
    "database": "ok",
    "migrations": "ok",
    "broker": "ok",
    "storage": "ok",
    "worker": "ok",
    "books": "unchecked",
}


@pytest.fixture(autouse=True)
def _asked_anew(valkey_is_empty: None) -> Iterator[None]:
    studio.forget()
    yield
    studio.forget()


@pytest.fixture
def worker(db: None) -> None:
    beat_once(name="worker-1", models=[], facts={})


def ask(client: Client) -> tuple[int, dict[str, Any]]:
    studio.forget()
    response = client.get("/readyz/")
    return response.status_code, response.json()


def test_a_process_that_is_alive_says_so_and_asks_nobody(client: Client) -> None:
    """Without the fixture of the database a query fails this test."""
    response = client.get("/healthz/")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert "no-store" in response["Cache-Control"]


def test_a_studio_with_everything_is_ready(client: Client, worker: None) -> None:
    assert ask(client) == (200, WELL)


def test_a_studio_without_a_worker_is_not_ready(client: Client, db: None) -> None:
    assert ask(client) == (503, {**WELL, "status": "unavailable", "worker": "none"})


def test_the_database_is_away(
    client: Client, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OperationalError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", refuse)
        status, said = ask(client)
    assert (status, said["database"], said["broker"]) == (503, "away", "ok")
    assert (said["migrations"], said["books"]) == ("unknown", "unknown")


def test_the_broker_is_away_and_nobody_knows_of_workers(
    client: Client, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_words: Any, **_options: Any) -> None:
        raise redis.ConnectionError("refused")

    with monkeypatch.context() as patch:
        patch.setattr(redis.ConnectionPool, "get_connection", refuse)
        status, said = ask(client)
    assert (status, said["broker"], said["worker"]) == (503, "away", "unknown")


def test_the_storage_refuses(client: Client, worker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_name: str) -> bool:
        raise StorageAway("read-only")

    monkeypatch.setattr(readiness, "has_file", refuse)
    assert ask(client) == (503, {**WELL, "status": "unavailable", "storage": "away"})


def test_a_storage_that_hangs_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on, asked = threading.Event(), []

    def hang(name: str) -> bool:
        asked.append(name)
        return not goes_on.wait(30)

    monkeypatch.setattr(readiness, "has_file", hang)
    monkeypatch.setattr(readiness, "STORAGE_S", 0.2)
    probe = StorageProbe()
    began = time.monotonic()
    assert [probe.look() for _turn in range(20)] == ["away"] * 20
    assert time.monotonic() - began < 2.0
    assert len(asked) == 1
    goes_on.set()
    while probe.look() != "ok":
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("app", "name", "word"),
    [("generation", "0001_initial", "ok"), ("core", "9999_of_a_newer_version", "ok")],
)
def test_migrations_of_a_newer_version_do_not_count(
    client: Client, worker: None, app: str, name: str, word: str
) -> None:
    MigrationRecorder.Migration.objects.get_or_create(app=app, name=name)
    assert ask(client)[1]["migrations"] == word


def test_a_migration_that_was_not_run_is_pending(client: Client, worker: None) -> None:
    newest = MigrationRecorder.Migration.objects.filter(app="generation").latest("name")
    newest.delete()
    assert ask(client) == (503, {**WELL, "status": "unavailable", "migrations": "pending"})


def test_it_is_asked_once_a_second_however_many_ask() -> None:
    looks = []

    def look() -> Readiness:
        looks.append(time.monotonic())
        time.sleep(0.1)
        return Readiness({}, "clean")

    watch = ReadinessWatch(look)
    with ThreadPoolExecutor(8) as pool:
        assert all(one.is_ready for one in pool.map(lambda _turn: watch.read(), range(200)))
    assert len(looks) == 1


def test_a_look_costs_few_queries(
    client: Client, worker: None, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    ask(client)
    with django_assert_max_num_queries(4):
        ask(client)


def test_no_probe_reads_the_session_that_is_sent_along(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.force_login(alice)

    def refuse(_session: SessionStore) -> dict[str, Any]:
        raise OperationalError("the session was read")

    monkeypatch.setattr(SessionStore, "load", refuse)
    assert [client.get(path).status_code for path in ("/healthz/", "/readyz/")] == [200, 503]


def test_probes_are_not_sent_to_https(worker: None, settings: LazySettings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get("/accounts/login/").status_code == 301
    told = {path: Client().get(path).status_code for path in PROBES}
    assert told == {"/healthz/": 200, "/readyz/": 200, "/metrics": 404}  # nobody has set who may
