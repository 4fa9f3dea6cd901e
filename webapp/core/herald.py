"""What is sent to Valkey without anybody waiting for it: doorbells, events, tasks for later.

One thread of each process sends, in order. Nobody's answer waits for it, and no database
connection. What cannot be sent is logged and forgotten: the rows are the truth, and sweepers look
at them.
"""

import atexit
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import redis
from kombu.exceptions import OperationalError

from webapp.celery import app
from webapp.core.neighbours import VALKEY
from webapp.core.trail import Trail, current_trail, on_trail, task_headers

logger = logging.getLogger(__name__)

MOST_WAITING = 1000
AT_EXIT_S = 3.0
ERRORS = (OperationalError, redis.RedisError, OSError)


class Herald:
    """The thread and what waits for it. What comes while so much waits is not sent."""

    def __init__(self, *, most: int = MOST_WAITING) -> None:
        self._waiting: queue.Queue[tuple[str, Callable[[], object], Trail]] = queue.Queue(most)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_full = False

    def tell(self, what: str, send: Callable[[], object]) -> None:
        """Has `send` called soon; `what` is for the log. Returns at once, and raises nothing."""
        self._begin()
        try:
            self._waiting.put_nowait((what, send, current_trail()))
        except queue.Full:
            if not self._is_full:
                logger.error("more waits to be sent than is kept: %s is lost, and more", what)
            self._is_full = True

    def flush(self, *, timeout_s: float) -> bool:
        """True once everything that was told before is sent or given up; False if that takes
        longer."""
        deadline = time.monotonic() + timeout_s
        with self._waiting.all_tasks_done:
            while self._waiting.unfinished_tasks:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                self._waiting.all_tasks_done.wait(left_s)
        return True

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="herald", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            what, send, trail = self._waiting.get()
            with on_trail(trail):
                self._send(what, send)
            self._waiting.task_done()
            self._is_full = self._is_full and not self._waiting.empty()

    def _send(self, what: str, send: Callable[[], object]) -> None:
        try:
            send()
        except ERRORS as error:
            logger.warning("%s was not sent: %s", what, error)
        except Exception:  # the thread's edge: one mistake must not silence all others
            logger.exception("%s was not sent", what)


_herald = Herald()


def tell(what: str, send: Callable[[], object]) -> None:
    """`Herald.tell` of this process's one herald: returns at once, and raises nothing."""
    _herald.tell(what, send)


def flush(*, timeout_s: float = AT_EXIT_S) -> bool:
    """`Herald.flush` of this process's one herald. False if something is still unsent."""
    return _herald.flush(timeout_s=timeout_s)


def send_task(name: str, *, what: str, **options: Any) -> None:
    """Has a worker do the task soon, unless Valkey is away; `what` is for the log. What the worker
    logs belongs to the request that sent it."""
    tell(what, partial(_send_task, name, options))


def _send_task(name: str, options: dict[str, Any]) -> None:
    # Celery's connections are its own: they do not know by themselves.
    if VALKEY.is_silent:
        raise redis.TimeoutError("Valkey is known not to answer")
    app.send_task(name, retry=False, headers=task_headers(), **options)


def _begin_anew() -> None:
    """In a forked child: the thread, and whoever holds a lock, stayed in the parent."""
    global _herald
    _herald = Herald()


os.register_at_fork(after_in_child=_begin_anew)
atexit.register(lambda: flush())
