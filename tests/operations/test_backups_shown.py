"""Backups as administrators see them: the first page, the notice that one is old, the figures."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests.pages import serve_plain_static
from webapp.accounts.models import User
from webapp.core.models import Notice
from webapp.operations.alerts import tell_urgent_notices
from webapp.operations.metrics import collector
from webapp.operations.models import BackupRun
from webapp.operations.readiness import studio
from webapp.operations.setup import make_setup_token
from webapp.operations.studio_watch import StudioWatch

pytestmark = pytest.mark.django_db

BACKUP, DRILL = BackupRun.Kind.BACKUP, BackupRun.Kind.DRILL


@pytest.fixture(autouse=True)
def _nightly(settings: LazySettings) -> None:
    settings.BACKUP_TO = "/mnt/backups"


@pytest.fixture
def admin(client: Client, charlie: User) -> Client:
    client.force_login(charlie)
    return client


@pytest.fixture
def old_studio() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_migrations SET applied = applied - interval '99 days'")


def run(kind: BackupRun.Kind, *, days: float = 0, failure: str = "") -> BackupRun:
    made = BackupRun.objects.create(kind=kind, name="darkroom-x", took_s=1, failure=failure)
    BackupRun.objects.filter(pk=made.pk).update(at=timezone.now() - timedelta(days=days, minutes=1))
    return made


def codes() -> list[str]:
    return [code for code in Notice.objects.values_list("code", flat=True) if "backup" in code]


def test_the_first_page_has_the_age_of_the_last_backup_and_of_the_last_drill(admin: Client) -> None:
    run(BACKUP, days=1)
    run(BACKUP, failure="PostgreSQL: no")
    run(DRILL, days=9)
    page = admin.get("/admin/").content.decode()
    assert "1\xa0day ago" in page
    assert "1\xa0week, 2\xa0days ago" in page
    assert "went well" in page
    listed = admin.get("/admin/operations/backuprun/").content.decode()
    assert "PostgreSQL: no" in listed


def test_the_first_page_says_that_there_is_none_and_how_to_make_one(
    admin: Client, settings: LazySettings
) -> None:
    page = admin.get("/admin/").content.decode()
    assert "none yet: make drill" in page
    settings.BACKUP_TO = ""
    assert "DARKROOM_BACKUP_TO is not set" in admin.get("/admin/").content.decode()


@pytest.mark.parametrize("kind", [BACKUP, DRILL])
def test_what_is_old_or_failed_is_marked(admin: Client, old_studio: None, kind: str) -> None:
    run(BACKUP)
    run(DRILL)
    assert 'dd class="op-bad"' not in admin.get("/admin/").content.decode()
    BackupRun.objects.filter(kind=kind).update(at=timezone.now() - timedelta(days=36))
    assert admin.get("/admin/").content.decode().count('dd class="op-bad"') == 1
    run(DRILL, failure="The drill failed")
    assert 'dd class="op-bad"' in admin.get("/admin/").content.decode()


def test_a_backup_of_more_than_two_days_ago_is_told_and_mailed_until_there_is_one(
    charlie: User, settings: LazySettings, mailoutbox: list[object], valkey_is_empty: None
) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    watch = StudioWatch()
    run(BACKUP, days=1.9)
    watch.look()
    assert codes() == []
    BackupRun.objects.update(at=timezone.now() - timedelta(days=2, minutes=1))
    run(BACKUP, failure="no room")
    watch.look()
    watch.look()
    assert codes() == ["backup_old"]
    Notice.objects.exclude(code="backup_old").delete()
    assert (tell_urgent_notices(), len(mailoutbox)) == (1, 1)
    run(BACKUP)
    watch.look()
    assert codes() == []


def test_a_studio_without_any_backup_is_told_after_two_days_if_there_are_to_be_some(
    db: None, settings: LazySettings, old_studio: None, valkey_is_empty: None
) -> None:
    StudioWatch().look()
    assert codes() == ["backup_old"]
    settings.BACKUP_TO = ""
    StudioWatch().look()
    assert codes() == []


def test_a_new_studio_has_two_days_time(db: None, valkey_is_empty: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_migrations SET applied = now()")
    StudioWatch().look()
    assert codes() == []


@pytest.fixture
def figures(client: Client, settings: LazySettings, valkey_is_empty: None) -> Iterator[Client]:
    settings.METRICS_TOKEN = "token"
    serve_plain_static(settings)
    yield client
    for watched in (studio, collector):
        watched.forget()


def scrape(client: Client) -> dict[str, float]:
    for watched in (studio, collector):
        watched.forget()
    text = client.get("/metrics", headers={"Authorization": "Bearer token"}).content.decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith("darkroom_")]
    return {name: float(value) for name, _blank, value in lines}


def test_prometheus_is_told_when_the_last_ones_were_and_0_for_never(
    figures: Client, settings: LazySettings
) -> None:
    told = scrape(figures)
    assert told["darkroom_backup_wanted"] == 1
    assert (
        told["darkroom_backup_timestamp_seconds"] == told["darkroom_drill_timestamp_seconds"] == 0
    )
    run(BACKUP, days=1)
    run(DRILL, failure="no")
    settings.BACKUP_TO = ""
    told = scrape(figures)
    day_ago = timezone.now().timestamp() - 86_400 - 60
    assert told["darkroom_backup_timestamp_seconds"] == pytest.approx(day_ago, abs=30)
    assert (told["darkroom_drill_timestamp_seconds"], told["darkroom_backup_wanted"]) == (0, 0)


def test_the_set_up_page_tells_whoever_has_a_backup_what_to_do(client: Client, db: None) -> None:
    page = client.get(f"/setup/{make_setup_token()}/").content.decode()
    assert "make restore BACKUP=" in page
