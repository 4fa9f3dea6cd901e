"""Whether this host's clock is right. The database's decides whatever has a time; this one only
shows times (`docs/decisions/whose-clock.md`)."""

import logging
import os
import threading
import time
from collections.abc import Callable

from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.utils.translation import gettext as _

from webapp.core.connections import let_go_of_database
from webapp.core.notices import tell_admins, withdraw

logger = logging.getLogger(__name__)

MOST_SKEW_S = 5.0
VAGUE_S = 2.0  # an answer that took longer says too little about the time
LOOK_EVERY_S = 60.0


def measure_skew_s(clock_s: Callable[[], float] = time.time) -> float | None:
    """How far this host's clock is ahead of the database's, in seconds, negative when it is
    behind. None if the answer took too long to say."""
    before_s = clock_s()
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8")
        (database_s,) = cursor.fetchone()
    after_s = clock_s()
    if after_s - before_s > VAGUE_S:
        return None
    return (before_s + after_s) / 2 - float(database_s)


class ClockWatch:
    """Tells administrators of a clock that is wrong, once, and withdraws that once it is right."""

    def __init__(self, *, host: str, clock_s: Callable[[], float] = time.time) -> None:
        self.host = host
        self.clock_s = clock_s
        self.was_right: bool | None = None  # what administrators were told

    def look(self) -> float | None:
        """Compares the clocks; how far this one is ahead, as `measure_skew_s`. Raises the
        database's errors."""
        skew_s = measure_skew_s(self.clock_s)
        if skew_s is None:
            return None
        is_right = abs(skew_s) <= MOST_SKEW_S
        if is_right is not self.was_right:
            self._note(skew_s, is_right=is_right)
        return skew_s

    def _note(self, skew_s: float, *, is_right: bool) -> None:
        if is_right:
            withdraw(code=self._code)
        else:
            tell_admins(code=self._code, sentence=self._sentence(skew_s))
        self.was_right = is_right

    def _sentence(self, skew_s: float) -> str:
        facts = {"host": self.host, "seconds": round(abs(skew_s))}
        if skew_s > 0:
            return _("The clock of %(host)s is %(seconds)d seconds ahead. Set it right.") % facts
        return _("The clock of %(host)s is %(seconds)d seconds behind. Set it right.") % facts

    @property
    def _code(self) -> str:
        return f"clock:{self.host}"


def watch_clock() -> None:
    """Looks every minute, in a thread, for as long as the process lives."""
    threading.Thread(target=_watch_forever, name="clock", daemon=True).start()


def _watch_forever() -> None:
    watch = ClockWatch(host=os.uname().nodename)
    while True:
        try:
            close_old_connections()
            watch.look()
        except (OperationalError, InterfaceError) as error:
            logger.warning("the clock was not compared: %s", error)
        except Exception:  # the thread's edge
            logger.exception("the clock was not compared")
        finally:
            let_go_of_database()
        time.sleep(LOOK_EVERY_S)
