"""`/metrics`, in the text format of Prometheus.

Of three kinds: what this process counted itself (requests, its memory), which differs from one web
process to the next; what workers say of themselves in their heartbeats, each under its name; and
what the database says of the studio, which every web process says alike (so take the `max` of
them, not the sum). Whatever is away is left out, and `darkroom_ready` says which.
"""

import hmac
import ipaddress
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest
from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from webapp.accounts.networks import client_address
from webapp.core.connections import let_go_of_database
from webapp.core.counting import REGISTRY
from webapp.core.neighbours import ALL, silent_neighbours
from webapp.generation.models import Image
from webapp.generation.queueing.heartbeat import hear_workers
from webapp.operations.disks import measure_disks
from webapp.operations.readiness import OK, studio
from webapp.operations.scrape_figures import ScrapeFigures, read_figures
from webapp.postgres.limits import HEALTH_S, answers_within

logger = logging.getLogger(__name__)

KEPT_S = 5.0
BEARER = "Bearer "
# What a heartbeat says as it is: the figure's name there, the gauge's name, its help.
WORKER_GAUGES = (
    ("in_flight", "images_in_flight", "Images that are drawn"),
    ("rows", "rows", "Rows of its last denoiser call"),
    ("row_cap", "row_cap", "Rows that its last denoiser call could have had"),
    ("memory_used", "memory_used_bytes", "Memory of its device that is in use"),
    ("memory_total", "memory_bytes", "Memory of its device"),
)


def may_read(request: HttpRequest) -> bool:
    """Whether the request brings the token, or comes from one of the addresses."""
    given = request.headers.get("Authorization", "")
    token = settings.METRICS_TOKEN
    if token and hmac.compare_digest(given.encode(), (BEARER + token).encode()):
        return True
    try:
        address = ipaddress.ip_address(client_address(request).partition("%")[0])
    except ValueError:  # a Unix socket has none
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in network for network in settings.METRICS_ADDRESSES)


def write_metrics() -> bytes:
    """The page for Prometheus."""
    return generate_latest(REGISTRY)


class StudioCollector(Collector):
    """What the database, the workers and the disks say. The database is asked at most every five
    seconds, and for a bounded time."""

    def __init__(self) -> None:
        self._reading = threading.Lock()
        self._known: tuple[float, ScrapeFigures] | None = None

    def describe(self) -> list[Metric]:
        """None: or else the registry would ask the database for their names when it is made."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families that can be told now."""
        yield from _tell_readiness()
        if (figures := self.read()) is not None:
            yield from _tell_queue(figures)
            yield from _tell_ledger(figures)
            yield from _tell_backups(figures)
        let_go_of_database()
        workers = hear_workers()
        if workers is not None:
            yield from _tell_workers(workers)
        yield from _tell_disks()

    def read(self) -> ScrapeFigures | None:
        """The database's figures, at most five seconds old; None if it does not answer."""
        with self._reading:
            if self._known is None or time.monotonic() - self._known[0] > KEPT_S:
                self._known = None
                try:
                    with answers_within(HEALTH_S):
                        self._known = (time.monotonic(), read_figures())
                except DatabaseError as error:
                    logger.error("the figures of the database are left out: %s", error)
            return None if self._known is None else self._known[1]

    def forget(self) -> None:
        """Has the next one ask anew."""
        with self._reading:
            self._known = None


def _tell_readiness() -> Iterator[Metric]:
    ready = _gauge("ready", "Whether each part is well: 1, or 0", "part")
    for part, word in studio.read().parts.items():
        ready.add_metric([part], float(word == OK))
    yield ready
    silent = _gauge("neighbour_silent", "1 while it does not answer this process", "neighbour")
    away = silent_neighbours()
    for each in ALL:
        silent.add_metric([each.name], float(each.name in away))
    yield silent


def _tell_queue(figures: ScrapeFigures) -> Iterator[Metric]:
    images = _gauge("images", "Images that wait (queued) and that are drawn (running)", "state")
    images.add_metric([Image.State.QUEUED], figures.queue.waiting)
    images.add_metric([Image.State.RUNNING], figures.queue.developing)
    waiting = _gauge("queue_images", "Images that wait, by their model", "model")
    for model, count in figures.waiting_by_model.items():
        waiting.add_metric([model], count)
    recent = _gauge("images_recently", "Images that ended in the last ten minutes", "state")
    for state, count in figures.recent.items():
        recent.add_metric([state], count)
    oldest_s = _gauge("queue_oldest_seconds", "For how long the first image has waited; 0 for none")
    oldest_s.add_metric([], figures.queue.oldest_wait_s or 0.0)
    yield from (images, waiting, recent, oldest_s)


def _tell_ledger(figures: ScrapeFigures) -> Iterator[Metric]:
    midnight = "since the studio's midnight, when it begins at 0"
    for name, told, ucr in (
        ("credits_granted", f"Credits that people were given {midnight}", figures.granted_ucr),
        ("credits_spent", f"Credits that images have cost {midnight}", figures.spent_ucr),
    ):
        yield CounterMetricFamily(f"darkroom_{name}", told, value=_credits(ucr))
    held = _gauge("credits_held", "Credits set aside for images that wait or are drawn")
    held.add_metric([], _credits(figures.held_ucr))
    notices = _gauge("notices", "Notices that stand before administrators")
    notices.add_metric([], figures.notices)
    yield from (held, notices)
    if figures.check is not None:
        faults = _gauge("ledger_violations", "Faults that the last check of the ledger found")
        faults.add_metric([], figures.check.violations)
        at = _gauge("ledger_check_timestamp_seconds", "When the ledger was last checked")
        at.add_metric([], figures.check.at.timestamp())
        yield from (faults, at)


def _tell_backups(figures: ScrapeFigures) -> Iterator[Metric]:
    for name, told, at in (
        ("backup", "When the last good backup was made", figures.backup_at),
        ("drill", "When a backup was last restored to try it out", figures.drill_at),
    ):
        made = _gauge(f"{name}_timestamp_seconds", f"{told}; 0 for never")
        made.add_metric([], at.timestamp() if at else 0.0)
        yield made
    wanted = _gauge("backup_wanted", "1 if backups are to be made every night")
    wanted.add_metric([], float(bool(settings.BACKUP_TO)))
    yield wanted


def _tell_workers(workers: list[dict[str, Any]]) -> Iterator[Metric]:
    alive = _gauge("workers", "Workers that were heard in the last half minute")
    alive.add_metric([], len(workers))
    info = InfoMetricFamily("darkroom_worker", "What each draws on", labels=["worker"])
    for worker in workers:
        info.add_metric([worker["name"]], {"device": str(worker.get("device", ""))})
    yield from (alive, info)
    for fact, name, told in WORKER_GAUGES:
        gauge = _gauge(f"worker_{name}", told, "worker")
        for worker in workers:
            # A device without memory of its own says 0.
            if worker.get(fact) or (fact in worker and not fact.startswith("memory")):
                gauge.add_metric([worker["name"]], worker[fact])
        yield gauge
    yield from _tell_work_done(workers)


def _tell_work_done(workers: list[dict[str, Any]]) -> Iterator[Metric]:
    calls = _counter("worker_denoiser_calls", "Calls of the denoiser", "worker")
    rows = _counter("worker_denoiser_rows", "Rows in all calls of the denoiser", "worker")
    images = _counter("worker_images", "Images that it has ended, by how", "worker", "end")
    stages = _counter("worker_stage_seconds", "Seconds of stored images", "worker", "stage")
    for worker in workers:
        name, done = worker["name"], worker.get("done", {})
        calls.add_metric([name], worker.get("calls", 0))
        rows.add_metric([name], worker.get("rows_in_all", 0))
        for end, count in done.get("images", {}).items():
            images.add_metric([name, end], count)
        for stage, seconds in done.get("stages_s", {}).items():
            stages.add_metric([name, stage], seconds)
    yield from (calls, rows, images, stages)


def _tell_disks() -> Iterator[Metric]:
    free = _gauge("disk_free_bytes", "Room left on the disk below a folder", "folder")
    size = _gauge("disk_bytes", "Size of the disk below a folder", "folder")
    for disk in measure_disks():
        free.add_metric([disk.name], disk.free_bytes)
        size.add_metric([disk.name], disk.size_bytes)
    yield from (free, size)


def _gauge(name: str, told: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"darkroom_{name}", told, labels=labels)


def _counter(name: str, told: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"darkroom_{name}", told, labels=labels)


def _credits(ucr: int) -> float:
    return ucr / settings.UCR_PER_CREDIT


collector = StudioCollector()
REGISTRY.register(collector)
ProcessCollector(registry=REGISTRY)
