"""How a worker ends that cannot go on: it says why, gives back what it holds, and is started anew
by whoever watches over it."""

import faulthandler
import logging
import os
import signal
import sys
import threading
from typing import Any

from celery.signals import worker_shutdown

from webapp.core.notices import tell_admins
from worker.patience import GaveUp, Patience

logger = logging.getLogger(__name__)

STATUS = 1
TELLING_S = 10.0  # for a database that is slow
ENDING_S = 60.0

_begun = threading.Lock()


def end_worker(*, code: str, sentence: str, detail: str = "") -> None:
    """Tells administrators and stops this process as SIGTERM does, but for its exit status, 1; it
    ends within a minute even if a thread hangs, and prints then where each one was. Any thread may
    call; only the first call counts."""
    if not _begun.acquire(blocking=False):
        return
    # A thread of C: it needs no lock of Python's, which a device that hangs may keep.
    faulthandler.dump_traceback_later(ENDING_S, exit=True, file=sys.__stderr__ or 2)
    tell_in_time(code=code, sentence=sentence, detail=detail)
    os.kill(os.getpid(), signal.SIGTERM)


def is_failing() -> bool:
    """Whether this process ends because it can't go on."""
    return _begun.locked()


def tell_in_time(*, code: str, sentence: str, detail: str) -> None:
    """As `tell_admins`, which writes to the log too; returns after ten seconds at most."""
    patience = Patience()

    def tell() -> None:
        try:
            patience.patiently(
                lambda: tell_admins(code=code[:100], sentence=sentence, detail=detail)
            )
        except GaveUp:
            logger.error("administrators could not be told: %s", sentence)

    telling = threading.Thread(target=tell, name="telling", daemon=True)
    telling.start()
    telling.join(TELLING_S)
    patience.end()


@worker_shutdown.connect
def say_that_it_failed(sender: Any, **_signal: Any) -> None:
    """Celery's own shutdown is over: its exit status is read after this."""
    if is_failing():
        sender.exitcode = STATUS
