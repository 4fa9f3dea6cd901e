"""Trying again while the database is away."""

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, close_old_connections

from webapp.core.connections import let_go_of_database

logger = logging.getLogger(__name__)

RETRY_S = 0.5
DATABASE_AWAY = (OperationalError, InterfaceError)
Answer = TypeVar("Answer")


class GaveUp(Exception):
    """The worker stops while the database is away: what was held is left to the sweeper."""


class Patience:
    """Tries again until the database answers, or until the worker stops.

    There is no other limit: as long as nobody took the image, what was drawn is still worth
    storing, and who has it is for the database to say.
    """

    def __init__(self) -> None:
        self.is_over = threading.Event()

    def end(self) -> None:
        """Nobody waits any longer: the worker stops now."""
        self.is_over.set()

    def patiently(self, action: Callable[[], Answer]) -> Answer:
        """The action's answer. It may run more than once, even after it was done, if only the
        answer to its commit was lost. Raises GaveUp if the worker stops meanwhile."""
        while True:
            try:
                close_old_connections()
                return action()
            except DATABASE_AWAY as error:
                logger.warning("the database is away, trying again: %s", error)
                if self.is_over.wait(RETRY_S):
                    raise GaveUp from error
            finally:
                let_go_of_database()
