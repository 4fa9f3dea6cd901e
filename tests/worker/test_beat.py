"""Beat does what is due itself: no worker runs, and no broker has to be there."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.beat import PersistentScheduler, ScheduleEntry
from celery.schedules import schedule
from django.conf import LazySettings
from django.db.models.functions import Now
from django.utils import timezone

from tests.people import claim, submit
from tests.worker.running import PROJECT, wait_until, worker_environment
from webapp.accounts.models import User
from webapp.beat import ASK_EVERY_S, LEASE_S, DoingScheduler, Lead
from webapp.catalog.models import DiffusionModel
from webapp.celery import app
from webapp.core.models import Leadership
from webapp.generation.models import Image


@pytest.mark.django_db(transaction=True)
def test_ended_leases_are_returned_without_a_worker_and_without_valkey(
    alice: User, offered_model: DiffusionModel, tmp_path: Path
) -> None:
    submit(alice, offered_model)
    claim(offered_model)
    Image.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    log = tmp_path / "beat.log"
    with running_beat(tmp_path, REDIS_URL=f"unix://{tmp_path}/nobody.sock?db=0"):
        wait_until(lambda: Image.objects.get().state == "queued", 60, log)
    assert list(tmp_path.glob("schedule*"))


@contextmanager
def running_beat(folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A beat on the tests' database, which logs to `beat.log` in the folder."""
    folder.mkdir(exist_ok=True)
    words = ["--schedule", str(folder / "schedule"), "--pidfile="]
    with (folder / "beat.log").open("wb") as output:
        beat = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "webapp.celery", "beat", *words],
            cwd=PROJECT,
            env={**worker_environment(folder / "media"), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield beat
    finally:
        beat.terminate()
        beat.wait(30)


STARTS_S = 45  # on a machine that is busy


def leading_pid() -> int | None:
    """The process of the beat that leads; None if none does."""
    row = Leadership.objects.filter(name="beat", until__gt=Now()).first()
    return int(row.holder.split(":")[1]) if row else None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_of_two_beats_one_leads_and_the_other_goes_on_when_it_ends(
    number: signal.Signals, alice: User, offered_model: DiffusionModel, tmp_path: Path
) -> None:
    with running_beat(tmp_path / "one") as one, running_beat(tmp_path / "two") as two:
        wait_until(lambda: leading_pid() is not None, 60, tmp_path / "one" / "beat.log")
        first = one if leading_pid() == one.pid else two
        second = two if first is one else one
        first.send_signal(number)
        first.wait(30)
        second_log = tmp_path / ("two" if second is two else "one") / "beat.log"
        patience_s = ASK_EVERY_S + (LEASE_S if number == signal.SIGKILL else 0) + STARTS_S
        wait_until(lambda: leading_pid() == second.pid, patience_s, second_log)
        submit(alice, offered_model)
        claim(offered_model)
        Image.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        wait_until(lambda: Image.objects.get().state == "queued", 60, second_log)


def test_what_was_passed_over_while_nobody_led_is_done_when_the_lead_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(DoingScheduler, "_do", lambda _self, entry: done.append(entry.name))
    scheduler = DoingScheduler(app=app, schedule_filename=str(tmp_path / "schedule"), lazy=True)
    for name in ("long ago", "just now"):
        scheduler.apply_entry(ScheduleEntry(name=name, task=name, schedule=schedule(1), app=app))
    passed_s, entry = scheduler._passed["long ago"]
    scheduler._passed["long ago"] = (passed_s - 60, entry)
    assert done == []
    scheduler.lead._until_s = time.monotonic() + 60
    monkeypatch.setattr(PersistentScheduler, "tick", lambda _self: 1.0)
    scheduler.tick()
    wait_until(lambda: done == ["just now"], 5)
    scheduler.tick()
    assert scheduler._passed == {}


@pytest.mark.django_db
def test_a_beat_that_cannot_ask_holds_itself_for_the_leader_no_longer_than_its_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 100.0
    first, second = Lead(clock_s=lambda: now_s), Lead(clock_s=lambda: now_s)
    first.ask()
    second.ask()
    assert (first.is_held, second.is_held) == (True, False)
    now_s += LEASE_S - 0.1
    assert first.is_held
    now_s += 0.1
    assert not first.is_held
    Leadership.objects.update(until=Now() - timedelta(seconds=1))
    second.ask()
    first.ask()
    assert (first.is_held, second.is_held) == (False, True)
    first.give_up()
    assert leading_holder() == second.holder
    second.give_up()
    first.ask()
    assert first.is_held


def leading_holder() -> str | None:
    return Leadership.objects.filter(until__gt=Now()).values_list("holder", flat=True).first()


def test_every_entry_is_a_task_of_ours(settings: LazySettings) -> None:
    app.loader.import_default_modules()
    names = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert names <= set(app.tasks)


def test_a_task_that_hangs_is_not_started_again_and_keeps_no_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    go_on = threading.Event()

    def do(self: Any, entry: ScheduleEntry) -> None:
        started.append(str(entry.name))
        if entry.name == "hangs":
            go_on.wait(10)

    monkeypatch.setattr(DoingScheduler, "_do", do)
    scheduler = DoingScheduler(app=app, schedule_filename=str(tmp_path / "schedule"), lazy=True)
    scheduler.lead._until_s = time.monotonic() + 60
    for name in ("hangs", "hangs", "quick"):
        scheduler.apply_entry(ScheduleEntry(name=name, task=name, schedule=schedule(1), app=app))
    wait_until(lambda: "quick" in started, 5)
    assert started.count("hangs") == 1
    go_on.set()
    wait_until(lambda: not scheduler._running["hangs"].is_alive(), 5)
    scheduler.apply_entry(ScheduleEntry(name="hangs", task="hangs", schedule=schedule(1), app=app))
    wait_until(lambda: started.count("hangs") == 2, 5)
