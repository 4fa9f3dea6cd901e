"""What beat looks at every minute, and tells administrators of: that no worker is alive, that none
draws with a model that is on offer, that this host's clock is wrong, that the last backup is old,
and that a disk is nearly full."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.utils.translation import gettext as _

from webapp.catalog.models import DiffusionModel
from webapp.catalog.selectors import INSTALLED
from webapp.core.clocks import ClockWatch
from webapp.core.connections import let_go_of_database
from webapp.core.notices import tell_admins, withdraw
from webapp.generation.queueing.heartbeat import hear_workers
from webapp.operations.backups.runs import is_backup_old
from webapp.operations.disks import Disk, measure_disks

# A worker that is started anew, with a large model, is away for a while.
NO_WORKER_S = 300.0
NO_WORKER, BACKUP_OLD = "no_worker", "backup_old"
GIGABYTE = 1_000_000_000
LEAST_BYTES, MOST_BYTES, LEAST_SHARE = 2 * GIGABYTE, 20 * GIGABYTE, 0.05


class Standing:
    """A problem that stands or not: administrators are told once when it begins, and the notice
    goes when it is over."""

    def __init__(self, code: str) -> None:
        self.code = code
        self._stood: bool | None = None  # an earlier process may have told

    def note(self, *, stands: bool, sentence: str) -> None:
        """How it is now. Raises the database's errors; then it is told the next time."""
        if stands is self._stood:
            return
        if stands:
            tell_admins(code=self.code, sentence=sentence)
        else:
            withdraw(code=self.code)
        self._stood = stands


class StudioWatch:
    """Remembers since when no worker was heard, or none with a model, and what administrators were
    told."""

    def __init__(self, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._heard_s = clock_s()
        self._no_worker = Standing(NO_WORKER)
        self._served_s: dict[str, float] = {}  # by slug: when a worker with it was heard last
        self._unserved: dict[str, Standing] = {}
        self._clock = ClockWatch(host=os.uname().nodename)
        self._backup_old = Standing(BACKUP_OLD)
        self._low_disks: dict[str, Standing] = {}

    def look(self) -> None:
        """Looks at workers, models, this host's clock, backups and disks. Raises the database's
        errors."""
        let_go_of_database()
        workers = hear_workers()
        if workers is not None:  # else nobody knows
            self._look_at_workers(workers)
        if workers:
            self._look_for_models(workers)
        self._clock.look()
        sentence = _(
            "No backup was made in the last two days. Look at the backups, or make one now."
        )
        self._backup_old.note(stands=is_backup_old(), sentence=sentence)
        for disk in measure_disks():
            self._look_at_disk(disk)

    def _look_at_workers(self, workers: Sequence[dict[str, Any]]) -> None:
        if workers:
            self._heard_s = self._clock_s()
        away_s = self._clock_s() - self._heard_s
        if workers or away_s >= NO_WORKER_S:
            sentence = _("No worker is alive, so nothing is drawn. Start one, or look at its log.")
            self._no_worker.note(stands=not workers, sentence=sentence)

    def _look_for_models(self, workers: Sequence[dict[str, Any]]) -> None:
        """Looks whether each model on offer is a worker's. What is not may be loading still."""
        served = {slug for worker in workers for slug in worker["models"]}
        now_s = self._clock_s()
        for model in DiffusionModel.objects.filter(INSTALLED, enabled=True):
            if model.slug in served:
                self._served_s[model.slug] = now_s
            away_s = now_s - self._served_s.setdefault(model.slug, now_s)
            if model.slug in served or away_s >= NO_WORKER_S:
                self._note_unserved(model, stands=model.slug not in served)

    def _note_unserved(self, model: DiffusionModel, *, stands: bool) -> None:
        told = self._unserved.setdefault(model.slug, Standing(f"unserved:{model.slug}"))
        sentence = _(
            "No worker draws with %(model)s, so its images wait. Copy its files to a worker's"
            " DARKROOM_MODELS, or disable it."
        )
        told.note(stands=stands, sentence=sentence % {"model": model.name})

    def _look_at_disk(self, disk: Disk) -> None:
        host = os.uname().nodename
        told = self._low_disks.setdefault(disk.name, Standing(f"disk_low:{host}:{disk.name}"))
        sentence = _(
            "The disk of %(host)s below %(folder)s is nearly full: %(free).1f of %(size).1f GB are"
            " free."
        )
        facts = {
            "host": host,
            "folder": disk.folder,
            "free": disk.free_bytes / GIGABYTE,
            "size": disk.size_bytes / GIGABYTE,
        }
        told.note(stands=is_low(disk), sentence=sentence % facts)


def is_low(disk: Disk) -> bool:
    """Whether little is free: less than 5 % of the disk, but no more than 20 GB and no less than
    2 GB are asked for."""
    wanted_bytes = min(MOST_BYTES, LEAST_SHARE * disk.size_bytes)
    return disk.free_bytes < max(LEAST_BYTES, wanted_bytes)
