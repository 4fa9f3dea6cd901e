"""Which workers are alive, what they serve, and which queues they listen to.

Key `darkroom:worker:<name>` lives for 30 seconds and is written every 5. The sorted set
`darkroom:workers` has the names and when they were last heard, by Valkey's clock, so that nobody
has to look through all keys for them. Each beat also looks whether this host's clock is right: the
database's decides, this one only shows times.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from typing import Any, cast

import redis
from django.db import InterfaceError, OperationalError, close_old_connections

from webapp.catalog.models import queue_name
from webapp.celery import app
from webapp.core.clocks import ClockWatch
from webapp.core.valkey import valkey
from webapp.generation import events
from webapp.generation.queueing.serving import served_models

logger = logging.getLogger(__name__)

BEAT_S = 5.0
ALIVE_S = 30
PREFIX = "darkroom:worker:"
NAMES = "darkroom:workers"
FORGOTTEN_S = 3600.0

_heard: set[str] = set()  # the slugs whose queues this process listens to


def beat_forever(*, name: str, node: str, describe: Callable[[], dict[str, Any]]) -> None:
    """Says every five seconds that this worker lives, listens to the queues it serves, and looks
    whether its clock is right. Never returns; what fails is logged, and tried at the next beat."""
    clock = ClockWatch(host=os.uname().nodename)
    while True:
        try:
            close_old_connections()
            slugs = served_models()
            listen_to_queues(slugs, node=node)
            clock_s = clock.look()
            facts = {"clock_off_s": None if clock_s is None else round(abs(clock_s), 1)}
            beat_once(name=name, models=slugs, facts=facts | _described(describe))
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
    """Subscribes this Celery node to those models' queues, and to no others: a bell that it heard
    of a model that it can't draw would wake nobody."""
    for slug in slugs:
        app.control.add_consumer(queue_name(slug), destination=[node], reply=False)
        _heard.add(slug)
    for slug in _heard.difference(slugs):
        app.control.cancel_consumer(queue_name(slug), destination=[node], reply=False)
        _heard.discard(slug)


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
