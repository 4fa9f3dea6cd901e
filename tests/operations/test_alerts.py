"""What beat looks at every minute, and the mail that something cannot wait."""

import shutil
import smtplib
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend

from tests.people import make_model, make_user
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.models import Notice
from webapp.core.neighbours import MailAway
from webapp.core.notices import tell_admins, withdraw
from webapp.generation.queueing.heartbeat import beat_once
from webapp.operations import studio_watch, tasks
from webapp.operations.alerts import tell_urgent_notices
from webapp.operations.disks import Disk
from webapp.operations.studio_watch import NO_WORKER_S, StudioWatch, is_low

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey_is_empty")]

GB = 1_000_000_000
Usage = namedtuple("Usage", "total used free")


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def _mail_server(settings: LazySettings) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    settings.PUBLIC_URL = "https://studio.example.org"


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The disk that everything lies on, with room on it."""
    sizes = {"total": 1000 * GB, "free": 500 * GB}

    def usage(_folder: Path) -> Usage:
        return Usage(sizes["total"], 0, sizes["free"])

    monkeypatch.setattr(shutil, "disk_usage", usage)
    return sizes


def codes() -> list[str]:
    return list(Notice.objects.order_by("code").values_list("code", flat=True))


def test_a_studio_without_a_worker_is_told_after_five_minutes_and_once(
    disk: dict[str, int],
) -> None:
    clock = Clock()
    watch = StudioWatch(clock_s=clock)
    clock.now_s += NO_WORKER_S - 1
    watch.look()
    assert codes() == []
    clock.now_s += 1
    watch.look()
    watch.look()
    notice = Notice.objects.get()
    assert (notice.code, notice.times) == ("no_worker", 1)
    beat_once(name="worker-1", models=[], facts={})
    watch.look()
    assert codes() == []


def test_a_notice_of_an_earlier_beat_goes_when_a_worker_is_there(disk: dict[str, int]) -> None:
    tell_admins(code="no_worker", sentence="No worker is alive.")
    watch = StudioWatch()
    watch.look()
    assert codes() == ["no_worker"]
    beat_once(name="worker-1", models=[], facts={})
    watch.look()
    assert codes() == []


def test_a_model_on_offer_that_no_worker_draws_with_is_told_until_one_does(
    offered_model: DiffusionModel, disk: dict[str, int]
) -> None:
    make_model("disabled", enabled=False)
    clock = Clock()
    watch = StudioWatch(clock_s=clock)
    beat_once(name="worker-1", models=[], facts={})
    watch.look()
    clock.now_s += NO_WORKER_S - 1
    watch.look()
    assert codes() == []
    clock.now_s += 1
    watch.look()
    watch.look()
    notice = Notice.objects.get()
    assert (notice.code, notice.times) == ("unserved:tiny", 1)
    beat_once(name="worker-2", models=["tiny"], facts={})
    watch.look()
    assert codes() == []


def test_nobody_says_that_no_worker_is_alive_while_the_broker_is_away(
    disk: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_words: Any, **_options: Any) -> None:
        raise redis.ConnectionError("refused")

    clock = Clock()
    watch = StudioWatch(clock_s=clock)
    clock.now_s += 2 * NO_WORKER_S
    with monkeypatch.context() as patch:
        patch.setattr(redis.ConnectionPool, "get_connection", refuse)
        watch.look()
    assert codes() == []


def test_a_disk_that_is_nearly_full_is_told_until_there_is_room(disk: dict[str, int]) -> None:
    watch = StudioWatch()
    disk["free"] = 19 * GB
    watch.look()
    watch.look()
    assert [code.rpartition(":")[2] for code in codes()] == ["media", "var"]
    notice = Notice.objects.get(code__endswith=":media")
    assert "19.0 of 1000.0 GB are free" in notice.sentence
    assert notice.times == 1
    disk["free"] = 21 * GB
    watch.look()
    assert codes() == []


@pytest.mark.parametrize(
    ("size_gb", "free_gb", "low"),
    [(10, 1.9, True), (10, 2, False), (100, 4.9, True), (100, 5, False), (9000, 20, False)],
)
def test_few_bytes_are_five_in_a_hundred_within_bounds(
    size_gb: float, free_gb: float, low: bool
) -> None:
    disk = Disk("var", Path("/"), size_bytes=int(size_gb * GB), free_bytes=int(free_gb * GB))
    assert is_low(disk) is low


def test_every_superuser_is_mailed_once_what_cannot_wait(alice: User, charlie: User) -> None:
    other = make_user("dora", is_staff=True, is_superuser=True)
    make_user("erin", is_staff=True, is_superuser=True, is_active=False)
    tell_admins(code="books:violated", sentence="The ledger check found 2 faults.")
    tell_admins(code="disk_low:host:var", sentence="The disk is nearly full.")
    tell_admins(code="model:tiny", sentence="This can wait.")
    assert (tell_urgent_notices(), tell_urgent_notices()) == (2, 0)
    assert sorted(one.to[0] for one in mail.outbox) == sorted([charlie.email, other.email])
    first = mail.outbox[0]
    assert first.subject == "Darkroom: 2 problems need you"
    assert "- The ledger check found 2 faults." in str(first.body)
    assert "- The disk is nearly full." in str(first.body)
    assert "can wait" not in str(first.body)
    assert "https://studio.example.org/admin/" in str(first.body)


def test_a_problem_that_comes_back_is_mailed_again_and_one_that_stands_is_not(
    charlie: User,
) -> None:
    tell_admins(code="no_worker", sentence="No worker.")
    tell_urgent_notices()
    tell_admins(code="no_worker", sentence="No worker.")
    assert tell_urgent_notices() == 0
    withdraw(code="no_worker")
    tell_admins(code="no_worker", sentence="No worker.")
    assert tell_urgent_notices() == 1


@pytest.mark.parametrize("error", [MailAway("silent"), smtplib.SMTPServerDisconnected("gone")])
def test_a_mail_server_that_is_away_is_tried_again(
    charlie: User, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_words: Any) -> int:
        raise error

    tell_admins(code="no_worker", sentence="No worker.")
    with monkeypatch.context() as patch:
        patch.setattr(EmailBackend, "send_messages", refuse)
        assert tell_urgent_notices() == 0
    assert tell_urgent_notices() == 1


def test_what_cannot_be_written_is_tried_again(
    charlie: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker image without the template, for one: it is no error of mail."""

    def break_down(*_words: Any) -> str:
        raise ZeroDivisionError

    tell_admins(code="no_worker", sentence="No worker.")
    with monkeypatch.context() as patch:
        patch.setattr("webapp.operations.alerts.render_to_string", break_down)
        with pytest.raises(ZeroDivisionError):
            tell_urgent_notices()
    assert tell_urgent_notices() == 1


def test_an_address_that_is_refused_keeps_no_other_from_the_mail(
    charlie: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_user("dora", is_staff=True, is_superuser=True)
    send = EmailBackend.send_messages

    def refuse_first(backend: EmailBackend, messages: Any) -> int:
        if next(iter(messages)).to == [charlie.email]:
            raise smtplib.SMTPRecipientsRefused({charlie.email: (550, b"unknown")})
        return send(backend, messages)

    monkeypatch.setattr(EmailBackend, "send_messages", refuse_first)
    tell_admins(code="no_worker", sentence="No worker.")
    assert tell_urgent_notices() == 1
    assert [one.to[0].partition("@")[0] for one in mail.outbox] == ["dora"]


def test_without_a_mail_server_nothing_is_marked(charlie: User, settings: LazySettings) -> None:
    settings.EMAIL_HOST = ""
    tell_admins(code="no_worker", sentence="No worker.")
    assert tell_urgent_notices() == 0
    assert Notice.objects.get().mailed_at is None


def test_beat_looks_and_mails(
    charlie: User, disk: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "studio_watch", StudioWatch())
    disk["free"] = 1
    tasks.watch_studio()
    assert len(mail.outbox) == 1
    assert Notice.objects.filter(code__startswith="disk_low:", mailed_at=None).count() == 0
    assert studio_watch.NO_WORKER not in codes()
