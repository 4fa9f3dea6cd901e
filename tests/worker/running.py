"""A real Celery worker in a process of its own, on the tests' database and broker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection
from psycopg.conninfo import make_conninfo

from webapp.core.valkey import valkey
from webapp.generation.models import Image

PROJECT = Path(__file__).resolve().parents[2]
START_S = 180.0
ENDED = (Image.State.STORED, Image.State.FAILED, Image.State.CANCELLED)


@contextmanager
def celery_worker(folder: Path) -> Iterator[Path]:
    """The worker's media folder, while it answers doorbells; its log is `worker.log` beside it."""
    with running_worker(folder):
        yield folder / "media"


@contextmanager
def running_worker(
    folder: Path, *, modules: str = "worker.tasks", node: str = "tests@%h", **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The same worker, once it beats or has ended by itself; it may have further modules."""
    log = folder / "worker.log"
    words = ["celery", "-A", "webapp.celery", "worker", "-I", modules, "--pool=threads"]
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", *words, "--concurrency=4", "-n", node],
            cwd=PROJECT,
            env={**worker_environment(folder / "media"), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(
            lambda: worker.poll() is not None or bool(valkey().keys("darkroom:worker:*")),
            START_S,
            log,
            worker,
        )
        yield worker
    finally:
        worker.terminate()
        worker.wait(START_S)


def worker_environment(media: Path) -> dict[str, str]:
    """The tests' environment, with the test database instead of the developer's."""
    name = str(connection.settings_dict["NAME"])
    return {
        **os.environ,
        "DATABASE_URL": make_conninfo(os.environ["DATABASE_URL"], dbname=name),
        "DARKROOM_MEDIA": str(media),
        "DARKROOM_VAR": str(media.parent / "var"),
        "DARKROOM_DEVICE": "cpu",  # also beside a GPU
        "DARKROOM_TORCH_THREADS": "1",
        "PYTHONFAULTHANDLER": "1",
    }


def wait_until(
    condition: Callable[[], bool],
    patience_s: float,
    log: Path | None = None,
    worker: subprocess.Popen[bytes] | None = None,
) -> None:
    """Returns when the condition holds; fails the test otherwise, with the worker's log, which
    ends with where each of its threads is."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline and worker is not None:
            worker.send_signal(signal.SIGABRT)
            worker.wait(10)
        in_vain = "waited in vain" if log is None else log.read_text(errors="replace")[-9000:]
        assert time.monotonic() < deadline, in_vain
        time.sleep(0.02)


def wait_until_ended(patience_s: float = 30.0) -> list[Image]:
    """All images of the test, each of which has ended."""
    wait_until(lambda: not Image.objects.exclude(state__in=ENDED).exists(), patience_s)
    return list(Image.objects.order_by("created_at", "index"))
