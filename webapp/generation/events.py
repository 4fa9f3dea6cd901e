"""What the browser hears. Events are news, never the truth: a lost one costs a poll, no more.

Channel `darkroom:events:<user id>` carries JSON objects:
    {"type": "image",    "id", "generation", "state", "html"-free facts as in `image_facts`}
    {"type": "progress", "id", "generation", "stage", "step", "steps", "left", "left_s"?,
     "preview"?}
    {"type": "balance",  "available_ucr", "available", "held"}
    {"type": "places",   "workers", "waiting", "places": image id -> {"place", "sentence", "wait"}}
`left` and `wait` are a sentence's key and its number, or null (`told.py`).
The last is written by the web process that the page listens to (`streams`), whenever channel
`darkroom:queue` says that the queue moved.
Key `darkroom:progress:<image id>` holds the newest progress for a page that is opened now.
Key `darkroom:cancelled:<image id>` tells the worker within one step.
"""

import json
import logging
import uuid
from typing import Any

import redis

from webapp.core import herald
from webapp.core.units import format_credits
from webapp.core.valkey import valkey
from webapp.credits.selectors import Balance, get_balance
from webapp.generation.models import Image
from webapp.generation.told import seconds_sentence

logger = logging.getLogger(__name__)

PROGRESS_TTL_S = 600
QUEUE_CHANNEL = "darkroom:queue"


def channel(user_id: int) -> str:
    """The Valkey channel of one user's news."""
    return f"darkroom:events:{user_id}"


def progress_key(image_id: uuid.UUID | str) -> str:
    """The Valkey key that holds the newest progress of an image, for ten minutes."""
    return f"darkroom:progress:{image_id}"


def cancelled_key(image_id: uuid.UUID | str) -> str:
    """The flag that a worker reads at each step."""
    return f"darkroom:cancelled:{image_id}"


def image_facts(image: Image) -> dict[str, Any]:
    """The event of one image, with what a page needs to draw its tile anew."""
    return {
        "type": "image",
        "id": str(image.pk),
        "generation": str(image.generation_id),
        "index": image.index,
        "state": image.state,
        "attempt": image.attempt,
        "failure": image.failure,
    }


def publish(user_id: int, event: dict[str, Any]) -> None:
    """Sends one event soon; if Valkey is away the news is lost, which is logged and harmless."""
    body = json.dumps(event)
    herald.tell("an event", lambda: valkey().publish(channel(user_id), body))


def publish_image(image_id: uuid.UUID) -> None:
    """Sends an image's facts and its owner's balance, read now: call it on commit."""
    image = Image.objects.select_related("owner").filter(pk=image_id).first()
    if image is not None:
        publish(image.owner_id, image_facts(image))
        publish_balance(image.owner_id, get_balance(user=image.owner))


def publish_balance(user_id: int, balance: Balance) -> None:
    """Sends a balance: call it on commit."""
    publish(
        user_id,
        {
            "type": "balance",
            "available_ucr": balance.available_ucr,
            "available": format_credits(balance.available_ucr),
            "held": format_credits(balance.held_ucr),
        },
    )


def publish_queue_moved() -> None:
    """Says that places in the queue may be others now: call it on commit."""
    herald.tell("a move of the queue", lambda: valkey().publish(QUEUE_CHANNEL, "moved"))


def publish_progress(*, user_id: int, event: dict[str, Any]) -> bool:
    """Sends and keeps a step's progress. True if the image was cancelled meanwhile.

    Raises redis.RedisError: the worker decides what a silent Valkey means for it.
    """
    left = seconds_sentence("left", event.get("left_s"))
    body = json.dumps({"type": "progress", **event, "left": left})
    pipeline = valkey().pipeline(transaction=False)
    pipeline.set(progress_key(event["id"]), body, ex=PROGRESS_TTL_S)
    pipeline.publish(channel(user_id), body)
    pipeline.exists(cancelled_key(event["id"]))
    return bool(pipeline.execute()[-1])


def read_progress(image_ids: list[uuid.UUID]) -> dict[str, dict[str, Any]]:
    """The newest progress of each running image that has any; {} if Valkey is away."""
    if not image_ids:
        return {}
    try:
        bodies = valkey().mget([progress_key(image_id) for image_id in image_ids])
    except redis.RedisError as error:
        logger.warning("progress cannot be read: %s", error)
        return {}
    return {
        str(image_id): json.loads(body)
        for image_id, body in zip(image_ids, bodies, strict=True)
        if body
    }


def flag_cancelled(image_id: uuid.UUID) -> None:
    """Tells the worker; if Valkey is away it finds out when it renews the lease."""
    key = cancelled_key(image_id)
    herald.tell("a cancellation", lambda: valkey().set(key, "1", ex=PROGRESS_TTL_S))
