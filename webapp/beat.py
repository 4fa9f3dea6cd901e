"""Celery's beat, which does what is due itself.

Handed to workers, maintenance would wait while the one worker is stopped, and it is what gives
back the images of a worker that stopped. So each task runs here, in a thread of its own: one that
hangs keeps none of the others, and a broker that is away keeps none at all.

Of several beats one leads, by a lease in the database, and the others pass over what is due. When
the lead ends, another one takes it within `LEASE_S`, and does what it passed over meanwhile. One
that lost the lead may have a task running still: each of them may run twice at once.
"""

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from celery.beat import PersistentScheduler, ScheduleEntry
from django.db import DatabaseError, InterfaceError, close_old_connections

from webapp.core import leader
from webapp.core.connections import let_go_of_database
from webapp.postgres.limits import answers_within

logger = logging.getLogger(__name__)

NAME = "beat"
LEASE_S = 12.0
ASK_EVERY_S = 3.0
ANSWER_S = 3.0
LAST_WORD_S = 2.0


class Lead:
    """Whether this beat leads. It asks in a thread of its own, and holds itself for the leader only
    for as long as the lease lasts that it heard of last."""

    def __init__(self, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.holder = f"{os.uname().nodename[:64]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._clock_s = clock_s
        self._until_s = -1.0
        self._ended = threading.Event()

    @property
    def is_held(self) -> bool:
        """False if another one may lead by now."""
        return self._clock_s() < self._until_s

    def keep(self) -> None:
        """Asks for the lead again and again, until `give_up`."""
        threading.Thread(target=self._keep, name="lead", daemon=True).start()

    def ask(self) -> None:
        """Asks once. Raises the database's errors."""
        asked_s, was_held = self._clock_s(), self.is_held
        with answers_within(ANSWER_S):
            leads = leader.lead(name=NAME, holder=self.holder, for_s=LEASE_S)
        self._until_s = asked_s + LEASE_S if leads else -1.0
        if leads is not was_held:
            logger.info("this beat leads" if leads else "another beat leads")

    def give_up(self) -> None:
        """Leaves the lead to another one at once, if the database answers."""
        self._ended.set()
        self._until_s = -1.0
        try:
            with answers_within(LAST_WORD_S):
                leader.stop_leading(name=NAME, holder=self.holder)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("the lead ends by itself: %s", error)

    def _keep(self) -> None:
        while not self._ended.is_set():
            try:
                close_old_connections()
                self.ask()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("who leads could not be asked: %s", error)
            except Exception:  # the thread's edge: without it nothing would be done any more
                logger.exception("who leads could not be asked")
            finally:
                let_go_of_database()
            self._ended.wait(ASK_EVERY_S)


class DoingScheduler(PersistentScheduler):
    """Starts what is due while this beat leads; what still runs from the last time is left to run
    on."""

    # Where Celery's own would wait for a broker that is away.
    producer = None  # type: ignore[assignment]

    def __init__(self, *args: Any, **options: Any) -> None:
        self._running: dict[str, threading.Thread] = {}
        self._passed: dict[str, tuple[float, ScheduleEntry]] = {}
        self.lead = Lead()
        super().__init__(*args, **options)

    def setup_schedule(self) -> None:
        """Called once, before the first tick."""
        super().setup_schedule()
        self.lead.keep()

    def tick(self, *args: Any, **options: Any) -> float:
        """Does what the one that led before may have left undone, then what is due."""
        if self.lead.is_held:
            self._catch_up()
        return float(super().tick(*args, **options))

    def close(self) -> None:
        self.lead.give_up()
        super().close()

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """Starts the entry's task, unless it is running, or another beat leads."""
        name = str(entry.name)
        if not self.lead.is_held:
            self._passed[name] = (time.monotonic(), entry)
            return
        running = self._running.get(name)
        if running is not None and running.is_alive():
            logger.info("%s is still running", name)
            return
        thread = threading.Thread(target=self._do, args=[entry], name=name, daemon=True)
        self._running[name] = thread
        thread.start()

    def _catch_up(self) -> None:
        passed, self._passed = self._passed, {}
        # For so long nobody may have led: what is due once a night would wait for the next one.
        since_s = time.monotonic() - LEASE_S - 2 * ASK_EVERY_S
        for passed_s, entry in passed.values():
            if passed_s >= since_s:
                self.apply_entry(entry)

    def _do(self, entry: ScheduleEntry) -> None:
        try:
            close_old_connections()
            self.app.tasks[str(entry.task)].run()
        except Exception:  # the thread's edge: it is due again
            logger.exception("%s failed", entry.name)
        finally:
            let_go_of_database()
