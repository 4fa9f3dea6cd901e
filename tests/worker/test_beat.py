"""Beat does what is due itself: no worker runs, and no broker has to be there."""

import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.beat import ScheduleEntry
from celery.schedules import schedule
from django.conf import LazySettings
from django.utils import timezone

from tests.people import claim, submit
from tests.worker.running import PROJECT, wait_until, worker_environment
from webapp.accounts.models import User
from webapp.beat import DoingScheduler
from webapp.catalog.models import DiffusionModel
from webapp.celery import app
from webapp.generation.models import Image


@pytest.mark.django_db(transaction=True)
def test_ended_leases_are_returned_without_a_worker_and_without_valkey(
    alice: User, offered_model: DiffusionModel, tmp_path: Path
) -> None:
    submit(alice, offered_model)
    claim(offered_model)
    Image.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    environment = {
        **worker_environment(tmp_path / "media"),
        "REDIS_URL": f"unix://{tmp_path}/nobody.sock?db=0",
    }
    words = ["--schedule", str(tmp_path / "schedule"), "--pidfile="]
    log = tmp_path / "beat.log"
    with log.open("wb") as output:
        beat = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "webapp.celery", "beat", *words],
            cwd=PROJECT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: Image.objects.get().state == "queued", 60, log)
    finally:
        beat.terminate()
        beat.wait(30)
    assert os.path.exists(tmp_path / "schedule") or list(tmp_path.glob("schedule*"))


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
    for name in ("hangs", "hangs", "quick"):
        scheduler.apply_entry(ScheduleEntry(name=name, task=name, schedule=schedule(1), app=app))
    wait_until(lambda: "quick" in started, 5)
    assert started.count("hangs") == 1
    go_on.set()
    wait_until(lambda: not scheduler._running["hangs"].is_alive(), 5)
    scheduler.apply_entry(ScheduleEntry(name="hangs", task="hangs", schedule=schedule(1), app=app))
    wait_until(lambda: started.count("hangs") == 2, 5)
