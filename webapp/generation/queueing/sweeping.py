"""Returns images whose lease has ended, unless it ended only because the database was away; and
rings for what is queued."""

import logging
import time
import uuid
from collections.abc import Callable

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from webapp.credits import ledger
from webapp.generation import events
from webapp.generation.failures import BY_CODE
from webapp.generation.models import Image, QueueShare
from webapp.generation.queueing import doorbell
from webapp.generation.queueing.services import NOT_STARTED, discard_attempt, ended, rejoin_queue

logger = logging.getLogger(__name__)

AT_ONCE = 500


class Sweeper:
    """Sweeps every few seconds, and so knows when the database was away.

    Workers renew their leases four times in a lease. When the database has not answered for
    longer, every lease has ended and no worker is to blame: each gets the time of one renewal
    before images are taken from it.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.clock_s = clock_s
        self.seen_s = float("-inf")  # when the database last answered
        self.steady_since_s = float("-inf")

    def sweep(self) -> int:
        """Moves the images whose lease has ended. Returns how many."""
        ids = list_ended_leases()
        moved = 0
        for image_id in ids:
            if not self.is_steady():  # it may have hung since the list was asked for
                logger.warning("the database was away: leases are not taken back yet")
                break
            moved += return_ended_lease(image_id)
        self.is_steady()
        return moved

    def is_steady(self) -> bool:
        """True if the database has answered for long enough that who lives has renewed. To be
        asked right after it answered."""
        now_s = self.clock_s()
        if now_s - self.seen_s > max(settings.LEASE_S / 2, 2 * settings.SWEEP_EVERY_S):
            self.steady_since_s = now_s
        self.seen_s = now_s
        return now_s - self.steady_since_s >= settings.LEASE_S / 4 + settings.SWEEP_EVERY_S


def return_ended_leases() -> int:
    """Puts images whose lease has ended back into the queue; one that was being drawn, for the
    last time that is allowed, fails. Returns how many it moved."""
    return sum(return_ended_lease(image_id) for image_id in list_ended_leases())


def list_ended_leases() -> list[uuid.UUID]:
    """The ids of running images whose lease has ended."""
    ended_ones = Image.objects.filter(state=Image.State.RUNNING, lease_until__lt=Now())
    return list(ended_ones.order_by("lease_until").values_list("pk", flat=True)[:AT_ONCE])


def return_ended_lease(image_id: uuid.UUID) -> bool:
    """The same for one; False if it was renewed, or somebody else moves it just now."""
    with transaction.atomic():
        image = (
            Image.objects.select_for_update(skip_locked=True)
            .filter(pk=image_id, state=Image.State.RUNNING, lease_until__lt=Now())
            .first()
        )
        if image is None:
            return False
        _take_back(image)
    return True


def return_lost_drawing(*, image_id: uuid.UUID, lease_token: uuid.UUID) -> bool:
    """What the end of its lease would do, at once: a worker asks whose engine an error has ended.
    False if the lease is lost, or this call was made before."""
    with transaction.atomic():
        image = (
            Image.objects.select_for_update()
            .filter(pk=image_id, state=Image.State.RUNNING, lease_token=lease_token)
            .first()
        )
        if image is None:
            return False
        _take_back(image)
    return True


def ring_for_queued() -> None:
    """Rings for every model that has something queued: a doorbell may have been lost."""
    waiting = QueueShare.objects.filter(queued__gt=0).values_list("model__slug", flat=True)
    for slug in waiting.distinct():
        doorbell.ring_if_silent(model_slug=slug)


def _take_back(image: Image) -> None:
    discard_attempt(image)
    if image.drawing_since and image.attempt >= settings.MAX_ATTEMPTS:
        _fail(image)
    else:
        _requeue(image)
    transaction.on_commit(lambda: events.publish_image(image.pk))


def _fail(image: Image) -> None:
    Image.objects.filter(pk=image.pk).update(
        **ended(Image.State.FAILED),
        lost_leases=F("lost_leases") + 1,
        failure_code="worker_lost",
        failure=str(BY_CODE["worker_lost"]),
    )
    ledger.release(image_id=image.pk)


def _requeue(image: Image) -> None:
    Image.objects.filter(pk=image.pk).update(
        **NOT_STARTED,
        state=Image.State.QUEUED,
        lease_token=None,
        lease_until=None,
        lost_leases=F("lost_leases") + 1,
    )
    rejoin_queue(image.pk)
