"""What beat looks at every minute, and tells administrators of: that no worker is alive, and that a
disk is nearly full."""

import os
import time
from collections.abc import Callable

from django.utils.translation import gettext as _

from webapp.core.connections import let_go_of_database
from webapp.core.notices import tell_admins, withdraw
from webapp.generation.queueing.heartbeat import hear_workers
from webapp.operations.disks import Disk, measure_disks

# A worker that is started anew, with a large model, is away for a while.
NO_WORKER_S = 300.0
NO_WORKER = "no_worker"
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
    """Remembers since when no worker was heard, and what administrators were told."""

    def __init__(self, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._heard_s = clock_s()
        self._no_worker = Standing(NO_WORKER)
        self._low_disks: dict[str, Standing] = {}

    def look(self) -> None:
        """Looks at workers and disks. Raises the database's errors."""
        self._look_for_workers()
        for disk in measure_disks():
            self._look_at_disk(disk)

    def _look_for_workers(self) -> None:
        let_go_of_database()
        workers = hear_workers()
        if workers is None:  # nobody knows
            return
        if workers:
            self._heard_s = self._clock_s()
        away_s = self._clock_s() - self._heard_s
        if workers or away_s >= NO_WORKER_S:
            sentence = _("No worker is alive, so nothing is drawn. Start one, or look at its log.")
            self._no_worker.note(stands=not workers, sentence=sentence)

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
