"""Which workers are alive, what they serve, and which queues they listen to.

Key `darkroom:worker:<name>` lives for 30 seconds and is written every 5. The sorted set
`darkroom:workers` has the names and when they were last heard, by Valkey's clock, so that nobody
has to look through all keys for them. Each beat also looks whether this host's clock is right: the
database's decides, this one only shows times.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import redis
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.utils.translation import gettext as _

from webapp.catalog.models import DiffusionModel, queue_name
from webapp.catalog.selectors import INSTALLED
from webapp.celery import app
from webapp.core.notices import tell_admins, withdraw
from webapp.core.valkey import valkey
from webapp.generation import events

MOST_SKEW_S = 5.0
VAGUE_S = 2.0  # an answer that took longer says too little about the time


def measure_skew_s(clock_s: Callable[[], float] = time.time) -> float | None:
    """How far this host's clock is ahead of the database's, in seconds, negative when it is
    behind. None if the answer took too long to say."""
    before_s = clock_s()
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8")
        (database_s,) = cursor.fetchone()
    after_s = clock_s()
    if after_s - before_s > VAGUE_S:
        return None
    return (before_s + after_s) / 2 - float(database_s)


class ClockWatch:
    """Tells administrators of a clock that is wrong, once, and withdraws that once it is right."""

    def __init__(self, *, host: str, clock_s: Callable[[], float] = time.time) -> None:
        self.host = host
        self.clock_s = clock_s
        self.was_right: bool | None = None  # what administrators were told

    def look(self) -> None:
        """Compares the clocks. Raises the database's errors."""
        skew_s = measure_skew_s(self.clock_s)
        if skew_s is None:
            return
        is_right = abs(skew_s) <= MOST_SKEW_S
        if is_right is self.was_right:
            return
        if is_right:
            withdraw(code=self._code)
        else:
            tell_admins(code=self._code, sentence=self._sentence(skew_s))
        self.was_right = is_right

    def _sentence(self, skew_s: float) -> str:
        facts = {"host": self.host, "seconds": round(abs(skew_s))}
        if skew_s > 0:
            return _("The clock of %(host)s is %(seconds)d seconds ahead. Set it right.") % facts
        return _("The clock of %(host)s is %(seconds)d seconds behind. Set it right.") % facts

    @property
    def _code(self) -> str:
        return f"clock:{self.host}"


logger = logging.getLogger(__name__)

BEAT_S = 5.0
ALIVE_S = 30
PREFIX = "darkroom:worker:"
NAMES = "darkroom:workers"
FORGOTTEN_S = 3600.0
SERVED_FOR_S = 2.0

_served: tuple[float, list[str]] = (0.0, [])
_served_lock = threading.Lock()


def served_models() -> list[str]:
    """Slugs of the models that this worker draws: all that are installed, or those of
    `DARKROOM_SERVE` among them. Read at most every two seconds.

    Models that were switched off stay in: what was queued before is still drawn.
    """
    global _served
    with _served_lock:
        read_at, slugs = _served
        if not slugs or time.monotonic() - read_at > SERVED_FOR_S:
            installed = DiffusionModel.objects.filter(INSTALLED)
            if settings.SERVED_MODELS:
                installed = installed.filter(slug__in=settings.SERVED_MODELS)
            slugs = list(installed.values_list("slug", flat=True))
            _served = (time.monotonic(), slugs)
        return slugs


def beat_forever(*, name: str, node: str, describe: Callable[[], dict[str, Any]]) -> None:
    """Says every five seconds that this worker lives, listens to the queues it serves, and looks
    whether its clock is right. Never returns; what fails is logged, and tried at the next beat."""
    clock = ClockWatch(host=os.uname().nodename)
    while True:
        try:
            close_old_connections()
            slugs = served_models()
            listen_to_queues(slugs, node=node)
            beat_once(name=name, models=slugs, facts=_described(describe))
            clock.look()
        except (OperationalError, InterfaceError, redis.RedisError, OSError) as error:
            logger.warning("the heartbeat skipped a beat: %s", error)
        except Exception:  # the thread's edge: who draws must not be taken for dead
            logger.exception("the heartbeat skipped a beat")
        time.sleep(BEAT_S)


def _described(describe: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """{} if the worker cannot tell: it lives, and must not fall silent over its figures."""
    try:
        return describe()
    except Exception:
        logger.exception("the heartbeat goes out without figures")
        return {}


def beat_once(*, name: str, models: list[str], facts: dict[str, Any]) -> None:
    """Writes one beat, and tells the pages of a worker that was not there before; raises
    redis.RedisError."""
    now, _microseconds = valkey().time()
    pipeline = valkey().pipeline(transaction=False)
    pipeline.zadd(NAMES, {name: now})
    pipeline.zremrangebyscore(NAMES, 0, now - FORGOTTEN_S)
    body = json.dumps({"name": name, "models": models, **facts})
    pipeline.set(f"{PREFIX}{name}", body, ex=ALIVE_S, get=True)
    if pipeline.execute()[-1] is None:
        events.publish_queue_moved()


def listen_to_queues(slugs: list[str], *, node: str) -> None:
    """Subscribes this Celery node to those models' queues; those it hears already are kept."""
    for slug in slugs:
        app.control.add_consumer(queue_name(slug), destination=[node], reply=False)


def hear_workers() -> list[dict[str, Any]] | None:
    """The workers that were alive in the last half minute; None if Valkey is away, and nobody
    knows."""
    try:
        names = cast("list[str]", valkey().zrange(NAMES, 0, -1))
        bodies = valkey().mget([f"{PREFIX}{name}" for name in names]) if names else []
    except redis.RedisError as error:
        logger.warning("the workers cannot be listed: %s", error)
        return None
    return [json.loads(body) for body in bodies if body]


def list_workers() -> list[dict[str, Any]]:
    """The workers that are known to live; [] if Valkey is away."""
    return hear_workers() or []
