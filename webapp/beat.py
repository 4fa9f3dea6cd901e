"""Celery's beat, which does what is due itself.

Handed to workers, maintenance would wait while the one worker is stopped, and it is what gives
back the images of a worker that stopped. So each task runs here, in a thread of its own: one that
hangs keeps none of the others, and a broker that is away keeps none at all.
"""

import logging
import threading
from typing import Any

from celery.beat import PersistentScheduler, ScheduleEntry
from django.db import close_old_connections

from webapp.core.connections import let_go_of_database

logger = logging.getLogger(__name__)


class DoingScheduler(PersistentScheduler):
    """Starts what is due; what still runs from the last time is left to run on."""

    # Where Celery's own would wait for a broker that is away.
    producer = None  # type: ignore[assignment]

    def __init__(self, *args: Any, **options: Any) -> None:
        self._running: dict[str, threading.Thread] = {}
        super().__init__(*args, **options)

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """Starts the entry's task, unless it is running."""
        name = str(entry.name)
        running = self._running.get(name)
        if running is not None and running.is_alive():
            logger.info("%s is still running", name)
            return
        thread = threading.Thread(target=self._do, args=[entry], name=name, daemon=True)
        self._running[name] = thread
        thread.start()

    def _do(self, entry: ScheduleEntry) -> None:
        try:
            close_old_connections()
            self.app.tasks[str(entry.task)].run()
        except Exception:  # the thread's edge: it is due again
            logger.exception("%s failed", entry.name)
        finally:
            let_go_of_database()
