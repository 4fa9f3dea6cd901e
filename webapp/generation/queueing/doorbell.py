"""Wakes workers. The committed rows are the queue: a lost doorbell is rung again by the sweeper."""

import logging

import redis

from webapp.catalog.models import queue_name
from webapp.core import herald
from webapp.core.valkey import valkey

logger = logging.getLogger(__name__)

TASK = "worker.tasks.answer_doorbell"
EXPIRES_S = 120
MOST_AT_ONCE = 4


def ring(*, model_slug: str, images: int = 1) -> None:
    """Rings soon, once per image, at most four times: it wakes so many workers, and a woken worker
    goes on until nothing is queued. Nobody waits for it."""
    options = {"queue": queue_name(model_slug), "expires": EXPIRES_S}
    for _ring in range(min(images, MOST_AT_ONCE)):
        herald.send_task(TASK, what=f"the doorbell of {model_slug}", **options)


def ring_if_silent(*, model_slug: str) -> None:
    """Rings if no doorbell is waiting to be answered already."""
    try:
        waiting = int(valkey().llen(queue_name(model_slug)))
    except redis.RedisError as error:
        logger.warning("the doorbell of %s cannot be seen: %s", model_slug, error)
        return
    if not waiting:
        ring(model_slug=model_slug)
