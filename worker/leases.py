"""One thread that renews the leases of all that this worker holds, and writes down what begins.

Renewing stands apart from drawing, so that a lease lives on while an image is encoded, while a
storage is away, and over a database that is away for less than a lease.
"""

import logging
import threading
import time
import uuid
from typing import Protocol

from django.conf import settings
from django.db import close_old_connections, connection

from webapp.generation.queueing import claims
from webapp.generation.queueing.claims import Claim
from worker.patience import DATABASE_AWAY, RETRY_S

logger = logging.getLogger(__name__)

RENEW_SHARE = 4  # a lease is renewed four times in its length


class Held(Protocol):
    """Whatever works on a claimed image."""

    claim: Claim

    def may_renew(self) -> bool:
        """False if it hangs, so that another worker should have the image."""

    def lose(self) -> None:
        """The image is somebody else's, or cancelled."""


class LeaseKeeper:
    """Renews while anything is held; its thread ends, and lets the database go, when nothing is."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held: dict[uuid.UUID, Held] = {}  # by lease token: an image may be held twice
        self._beginning: set[uuid.UUID] = set()
        self._thread: threading.Thread | None = None

    def hold(self, held: Held) -> None:
        """Renews this one's lease from now on."""
        with self._changed:
            self._held[held.claim.lease_token] = held
            if self._thread is None:
                self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)
                self._thread.start()

    def let_go(self, held: Held) -> None:
        """Stops renewing this one's lease, which ends by itself unless the image was stored."""
        with self._changed:
            self._held.pop(held.claim.lease_token, None)
            self._beginning.discard(held.claim.lease_token)
            self._changed.notify_all()

    def begin(self, held: Held) -> None:
        """Its drawing has begun: written down at once, beside the caller, who may be the engine."""
        with self._changed:
            self._beginning.add(held.claim.lease_token)
            self._changed.notify_all()

    def _keep(self) -> None:
        renew_every_s = settings.LEASE_S / RENEW_SHARE
        due_s = time.monotonic() + renew_every_s
        while self._wait(due_s):
            is_due = time.monotonic() >= due_s
            try:
                close_old_connections()
                self._write_beginnings()
                if is_due:
                    due_s = time.monotonic() + renew_every_s
                    self._renew()
            except DATABASE_AWAY as error:
                logger.warning("leases could not be renewed yet: %s", error)
                due_s = time.monotonic() + RETRY_S if is_due else due_s
                time.sleep(RETRY_S)
        connection.close()

    def _wait(self, due_s: float) -> bool:
        """True when there is something to do; False when nothing is held, and the thread ends."""
        with self._changed:
            timeout_s = max(0.0, due_s - time.monotonic())
            self._changed.wait_for(lambda: self._beginning or not self._held, timeout_s)
            if not self._held:
                self._thread = None
            return bool(self._held)

    def _write_beginnings(self) -> None:
        with self._changed:
            beginning = [self._held[token] for token in self._beginning if token in self._held]
        if beginning:
            claims.begin_drawings(leases=leases_of(beginning))
            with self._changed:
                self._beginning -= {held.claim.lease_token for held in beginning}

    def _renew(self) -> None:
        with self._changed:
            held = [one for one in self._held.values() if one.may_renew()]
        # One image may be here twice, if it came back while its first drawing went on: only
        # the newer token is the database's.
        for batch in _one_of_each_image(held):
            lost = claims.renew_all(leases=leases_of(batch))
            for one in batch:
                if one.claim.image_id in lost:
                    one.lose()


def leases_of(held: list[Held]) -> dict[uuid.UUID, uuid.UUID]:
    """`image id -> lease token` of these; one image must not be in it twice."""
    return {one.claim.image_id: one.claim.lease_token for one in held}


def _one_of_each_image(held: list[Held]) -> list[list[Held]]:
    batches: list[list[Held]] = []
    for one in held:
        for batch in batches:
            if all(other.claim.image_id != one.claim.image_id for other in batch):
                batch.append(one)
                break
        else:
            batches.append([one])
    return batches
