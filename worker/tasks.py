"""The only bridge between Django/Celery and the engine.

A doorbell wakes `Desk.answer`, which draws until nothing is queued. Celery's messages carry
nothing worth keeping: what to draw, and whether it is still ours, stands in the database.
"""

import logging
import os
import threading
import uuid
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from typing import Any

from celery import shared_task
from celery.signals import (
    celeryd_after_setup,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)
from django.conf import settings
from django.db import close_old_connections

from webapp.core.connections import let_go_of_database
from webapp.core.notices import withdraw
from webapp.core.trail import on_trail
from webapp.embedded.worker_health import default_node
from webapp.generation.queueing import claims, heartbeat, serving
from webapp.generation.queueing.claims import Claim
from worker.config import ConfigError, EngineConfig
from worker.drawing import Bench, Drawing, span_of, trail_of
from worker.ending import end_worker, is_failing
from worker.engine.engine import Engine
from worker.engine.errors import EngineError
from worker.engine.snapshot import EngineSnapshot
from worker.engine_door import EngineDoor
from worker.engine_watch import STOPPED, start_watch, write_end
from worker.leases import LeaseKeeper
from worker.patience import DATABASE_AWAY, GaveUp, Patience
from worker.storage_watch import StorageWatch

logger = logging.getLogger(__name__)

DRAIN_S = 30.0
LAST_WORDS_S = 5.0  # for what is given back after that, while the database is slow
ROOM_CHECK_S = 1.0
LEAST_ROOM = 2  # images
MOST_OF_NODE = 80  # characters of a node's name in a worker's, which has room for 100
RESERVED_SHARE = 4  # one place in four is for people who have nothing here


# Taken off the queue at once, for a lost ring is rung again. One that waits to be acknowledged when
# Valkey goes away ends the worker, and with it the models that are loaded (kombu 5.7.0: putting it
# back raises AttributeError).
@shared_task(name="worker.tasks.answer_doorbell", acks_late=False)
def answer_doorbell() -> None:
    """Somebody rang: draw until nothing is queued, or return at once if another bell is being
    answered, or the worker ends as it has no engine."""
    opened = desk_or_end()
    if opened is not None:
        opened.answer()


class Desk:
    """Claims images, has the engine draw them, and hands them in.

    One thread claims, and each claimed image has a thread that waits for it. So many are claimed
    as the engine can draw at once and as many more, so that its calls stay full, but no more:
    what is claimed here, another worker can't draw. A share of the room is kept for people who
    have nothing here, so that nobody's pile keeps another's image out of the engine.
    """

    def __init__(self, engine: Engine, *, name: str, slots: int) -> None:
        self.engine = engine
        self.name = name
        self.slots = slots
        self.pool = ThreadPoolExecutor(slots, thread_name_prefix="drawing")
        self.dispatching = threading.Lock()
        self.changed = threading.Condition()
        self.bell = False  # something may have been queued, or room been made
        self.drawing: dict[uuid.UUID, Drawing] = {}  # by lease token: an image may come back
        self.draining = threading.Event()
        self.patience = Patience()
        self.storage = StorageWatch(
            host=os.uname().nodename, patience=self.patience, on_back=self.ring
        )
        self.bench = Bench(
            engine=engine,
            leases=LeaseKeeper(),
            door=EngineDoor(),
            storage=self.storage,
            patience=self.patience,
            draining=self.draining,
        )

    def answer(self) -> None:
        """Draws until nothing is queued and nothing is being drawn. A bell that finds another
        one being answered is remembered: it may have rung for a row that was committed after the
        other last looked."""
        self.ring()
        while self.bell and self.dispatching.acquire(blocking=False):
            try:
                self.dispatch()
            finally:
                self.dispatching.release()

    def ring(self) -> None:
        """Wakes the thread that claims; a bell nobody waits for is remembered."""
        with self.changed:
            self.bell = True
            self.changed.notify_all()

    def dispatch(self) -> None:
        """Claims whenever there is room, until a bell finds nothing and no drawing is left."""
        while True:
            with self.changed:
                self.bell = False
            while not self.draining.is_set() and self.has_room() and self.start_next():
                pass
            with self.changed:
                # The engine learns on its own that more rows pay, and rings no bell then.
                patience_s = None if self.has_room() else ROOM_CHECK_S
                self.changed.wait_for(lambda: self.bell or not self.drawing, timeout=patience_s)
                if not self.drawing and not self.bell:
                    return

    def has_room(self) -> bool:
        """True if one more image would soon be drawn, and could be kept."""
        is_open = not self.storage.is_away and not self.bench.door.is_wanted_alone
        is_open = is_open and self.engine.ended_by is None
        return is_open and len(self.drawing) < self.room()

    def room(self) -> int:
        """Images to hold: as many as one call has rows for, which is about twice as many as it
        draws, since guidance takes two rows an image."""
        return min(self.slots, max(LEAST_ROOM, self.engine.row_cap))

    def start_next(self) -> bool:
        """Claims one image and has it drawn. False if none is queued that may come in, or the
        database is away: a claim whose answer was lost comes back with its lease."""
        try:
            claim = self.claim()
        except DATABASE_AWAY as error:
            logger.warning("nothing is claimed, the database is away: %s", error)
            return False
        if claim is None:
            return False
        drawing = Drawing(self.bench, claim)
        with self.changed:
            earlier = [one for one in self.drawing.values() if one.claim.image_id == claim.image_id]
            self.drawing[claim.lease_token] = drawing
        for one in earlier:  # its lease was lost: the image was queued again
            one.lose()
        self.pool.submit(self.draw, drawing)
        return True

    def claim(self) -> Claim | None:
        """The next image, leased to this worker; None if nothing is queued that may come in. Raises
        one of DATABASE_AWAY."""
        close_old_connections()
        try:
            return claims.claim_next(
                models=serving.served_models(),
                worker=self.name,
                but_not_of=self.owners_kept_out(),
            )
        finally:
            let_go_of_database()

    def owners_kept_out(self) -> set[int]:
        """Who may have no further image here: if the room left is what is kept for others,
        everybody who has one."""
        room = self.room()
        with self.changed:
            is_reserved = len(self.drawing) >= room - room // RESERVED_SHARE
            owners = {drawing.claim.owner_id for drawing in self.drawing.values()}
            return owners if is_reserved else set()

    def draw(self, drawing: Drawing) -> None:
        """Draws one image in this thread, then makes room for the next. What cannot be told to the
        database before the worker stops is left to the sweeper."""
        with on_trail(trail_of(drawing.claim)), span_of(drawing.claim):
            try:
                self.draw_or_fail(drawing)
            except GaveUp:
                logger.warning("image %s is left to the sweeper", drawing.claim.image_id)
            finally:
                with self.changed:
                    del self.drawing[drawing.claim.lease_token]
                self.ring()
                let_go_of_database()

    def draw_or_fail(self, drawing: Drawing) -> None:
        """Draws one image, or fails it. Raises GaveUp."""
        try:
            drawing.run()
        except GaveUp:
            raise
        except Exception as error:  # the thread's edge: one image must not end the others
            logger.exception("image %s failed unexpectedly", drawing.claim.image_id)
            unexpected = EngineError(detail=f"{type(error).__name__}: {error}")
            drawing.fail(unexpected)

    def drain(self) -> None:
        """Nearly finished images finish, the others give their lease back. Who cannot say so by
        then, as the database is away, leaves it to the sweeper."""
        self.draining.set()
        self.engine.drain(timeout_s=DRAIN_S)
        with self.changed:
            self.changed.wait_for(lambda: not self.drawing, timeout=LAST_WORDS_S)
        self.patience.end()


_building = threading.Lock()
_node = default_node()


def desk() -> Desk:
    """This process's desk; the first call loads torch and starts the engine thread."""
    with _building:  # the first bell and the heartbeat may both be first
        return _build_desk()


@cache
def _build_desk() -> Desk:
    config = EngineConfig.from_env(os.environ)
    prepare_environment(os.environ)
    from worker.pipelines.devices import check_device  # torch: only in processes that draw
    from worker.pipelines.runner import DiffusersRunner

    check_device(config)
    runner = DiffusersRunner(config)
    logger.info("the engine draws on %s", runner.describe())
    engine = Engine(runner, config)
    engine.start()
    return Desk(engine, name=worker_name(), slots=settings.WORKER_SLOTS)


def prepare_environment(environment: MutableMapping[str, str]) -> None:
    """What torch reads once, when it loads; a setting of the administrator's own stays."""
    # Threads that wait must sleep: spinning ones cost an image on a busy machine ten to twenty
    # times its seconds (20 steps: 11 s against 0.6 s).
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Sizes and models that come and go leave holes in a GPU's memory, unless its blocks can grow.
    if not {"PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF"} & environment.keys():
        environment.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")


def desk_or_end() -> Desk | None:
    """This process's desk. None if it cannot be opened: the process ends then, as a worker that
    draws nothing would only stand in the way of seeing why."""
    try:
        return desk()
    except (EngineError, ConfigError) as error:
        _end_without_engine(str(error))
    except Exception as error:
        logger.exception("the engine could not be started")
        detail = f"{type(error).__name__}: {error}"
        _end_without_engine("The engine could not be started.", detail=detail)
    return None


def _end_without_engine(why: str, *, detail: str = "") -> None:
    write_end(_node, why)
    end_worker(code=_no_engine(), sentence=f"{_node}: {why}", detail=detail)


def _no_engine() -> str:
    """The code of the notice that this worker cannot be opened."""
    return f"no_engine:{_node}"


def worker_name() -> str:
    """Node and process, such as "worker-gpu1@lab-4711": what an image's receipt and the
    administrators' list of workers show. Whoever gives each GPU's worker a name finds it there."""
    return f"{_node[:MOST_OF_NODE]}-{os.getpid()}"


@celeryd_after_setup.connect
def remember_node(sender: str, **_signal: Any) -> None:
    """Celery knows its node name from here on, before it takes the first task."""
    global _node
    _node = sender


@worker_ready.connect
def open_desk(sender: Any, **_signal: Any) -> None:
    """Loads the engine beside the consumer, and beats from then on."""
    remember_node(node := str(sender.hostname))

    def beat() -> None:
        opened = desk_or_end()
        if opened is None:
            return
        start_watch(opened.engine, node=node)
        withdraw_notice(opened.patience)
        heartbeat.beat_forever(name=worker_name(), node=node, describe=lambda: facts_of(opened))

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()


def withdraw_notice(patience: Patience) -> None:
    """The engine is there now: nobody has to see to it any more."""
    try:
        patience.patiently(lambda: withdraw(code=_no_engine()))
    except GaveUp:
        logger.warning("the notice that there is no engine still stands")


@worker_shutting_down.connect
def close_desk(**_signal: Any) -> None:
    """Drains beside Celery's own warm shutdown, which waits for the tasks to return."""
    if _build_desk.cache_info().currsize:
        threading.Thread(target=desk().drain, name="drain").start()


def facts_of(desk: Desk) -> dict[str, Any]:
    """What this worker says of itself with each beat."""
    return vars_of(desk.engine.snapshot()) | {"done": desk.bench.tally.read()}


def vars_of(snapshot: EngineSnapshot) -> dict[str, Any]:
    """The engine's gauges as JSON; memory in bytes."""
    gauges = asdict(snapshot.gauges)
    return {
        "in_flight": len(snapshot.in_flight),
        "queued": snapshot.queued,
        "model": snapshot.resident_model or "",
        "rows": snapshot.rows,
        "row_cap": snapshot.row_cap,
        "calls": snapshot.calls,
        "rows_in_all": snapshot.rows_in_all,
        **gauges,
    }


@worker_shutdown.connect
def tell_the_end(**_signal: Any) -> None:
    """An orderly stop is the last thing that the health check reads; a failure has said why."""
    if not is_failing():
        write_end(_node, STOPPED)
