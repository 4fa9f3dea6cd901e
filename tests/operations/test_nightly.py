"""What runs at night: the ledger check, what readiness says of it, and forgetting old keys."""

from datetime import timedelta

import pytest
from celery.schedules import crontab
from django.conf import LazySettings
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from webapp.accounts.models import User
from webapp.celery import app
from webapp.core.idempotency import run_once
from webapp.core.models import IdempotencyKey
from webapp.core.valkey import valkey
from webapp.credits.models import Account
from webapp.operations import audit, tasks
from webapp.operations.models import BooksCheck
from webapp.operations.readiness import studio


def books(client: Client) -> str:
    studio.forget()
    return str(client.get("/readyz/").json()["books"])


def test_readiness_tells_what_the_newest_check_found(client: Client, alice: User) -> None:
    assert books(client) == "unchecked"
    tasks.check_nightly()
    assert books(client) == "clean"
    Account.objects.filter(user=alice).update(held_ucr=1)
    tasks.check_nightly()
    assert books(client) == "violated"
    Account.objects.filter(user=alice).update(held_ucr=0)
    tasks.check_nightly()
    assert books(client) == "clean"


def test_a_check_of_two_days_ago_is_none(client: Client, alice: User) -> None:
    tasks.check_nightly()
    BooksCheck.objects.update(at=timezone.now() - timedelta(days=2, seconds=1))
    assert books(client) == "unchecked"


@pytest.mark.parametrize("files", [True, False])
def test_the_pictures_are_read_where_the_studio_wants_it(
    db: None, settings: LazySettings, monkeypatch: pytest.MonkeyPatch, files: bool
) -> None:
    asked = []

    def find(*, files: bool) -> list[audit.Violation]:
        asked.append(files)
        return []

    settings.CHECK_FILES = files
    monkeypatch.setattr(audit, "find_violations", find)
    tasks.check_nightly()
    assert asked == [files]


def test_one_check_runs_at_a_time(db: None) -> None:
    valkey().set(tasks.CHECKING_KEY, "1")
    tasks.check_nightly()
    assert not BooksCheck.objects.exists()
    valkey().delete(tasks.CHECKING_KEY)
    tasks.check_nightly()
    tasks.check_nightly()
    assert BooksCheck.objects.count() == 2


def test_only_the_newest_checks_are_kept(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "CHECKS_KEPT", 2)
    for _night in range(4):
        tasks.check_nightly()
    assert BooksCheck.objects.count() == 2


def test_old_keys_are_forgotten(transactional_db: None) -> None:
    run_once(scope="s", key="k", body="b", act=dict)
    tasks.purge()
    assert IdempotencyKey.objects.count() == 1
    IdempotencyKey.objects.update(started_at=timezone.now() - timedelta(hours=25))
    tasks.purge()
    assert not IdempotencyKey.objects.exists()


def test_sessions_that_are_over_are_forgotten(db: None) -> None:
    now = timezone.now()
    for key, hours in (("over", -1), ("open", 1)):
        Session.objects.create(
            session_key=key, session_data="", expire_date=now + timedelta(hours=hours)
        )
    tasks.purge()
    assert Session.objects.get().session_key == "open"


def test_a_database_that_is_away_is_told_to_the_log(
    db: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(**_asked: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(tasks, "check_books", refuse)
    monkeypatch.setattr(tasks, "purge_old_keys", refuse)
    tasks.check_nightly()
    tasks.purge()
    assert [line.message.partition(",")[0] for line in caplog.records] == [
        "the ledger check is put off",
        "the purge is put off",
    ]
    assert not valkey().exists(tasks.CHECKING_KEY)


def test_beat_asks_for_both_every_night_at_the_hour_of_the_studio(settings: LazySettings) -> None:
    for name in ("check_nightly", "purge"):
        entry = settings.CELERY_BEAT_SCHEDULE[name]
        assert entry["task"] in app.tasks
        assert entry["schedule"] in [crontab(hour="4", minute=str(at)) for at in range(60)]
    assert settings.CHECK_HOUR == 4
    assert str(app.timezone) == settings.TIME_ZONE
