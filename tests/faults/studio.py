"""A studio to be broken: who runs in it, what its database says, whether its ledger balances."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.trial import Trial, TrialFailedError
from webapp.embedded.paths import VarLayout

PATIENCE_S = 120.0
FIELDS = {"prompt": "a fox at dusk", "negative_prompt": "people", "model": "tiny"}


class Studio:
    """A running trial with one visitor, who orders from the tiny model in `model`."""

    def __init__(self, trial: Trial, model: Path) -> None:
        self.trial = trial
        self.model = model
        self.layout = VarLayout(trial.var)
        self.visitor = trial.sign_up()

    def order(self, count: int, **fields: str) -> list[str]:
        """The ids of queued images."""
        return self.visitor.request_images(**{**FIELDS, "count": str(count), **fields})

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """What the studio's database answers, over a connection of its own."""
        url = self.layout.postgres_url()
        with psycopg.connect(url, row_factory=dict_row) as database:
            return database.execute(query.encode(), values).fetchall()

    def images(self, ids: list[str]) -> list[dict[str, Any]]:
        """The rows of these images, in order."""
        query = "SELECT * FROM generation_image WHERE id = ANY(%s) ORDER BY index"
        return self.rows(query, ids)

    def states(self, ids: list[str]) -> list[str]:
        """The states of these images, in order."""
        return [image["state"] for image in self.images(ids)]

    def kill(self, service: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Signals the service and returns the process that got it."""
        pid = self.trial.pid(service)
        os.kill(pid, number)
        return pid

    def wait_until_running(self, ids: list[str]) -> dict[str, Any]:
        """An image that a worker is drawing."""

        def running() -> list[dict[str, Any]]:
            return [image for image in self.images(ids) if image["state"] == "running"]

        wait_until(lambda: bool(running()))
        return running()[0]

    def wait_until_back(self, service: str, pid: int) -> None:
        """Returns once the supervisor has started another process for the service."""
        wait_until(lambda: self._pid_or_none(service) not in {None, pid})

    def wait_until_ended(self, ids: list[str]) -> dict[str, Any]:
        """Facts by image id once each is stored, failed or cancelled."""
        return self.visitor.wait_until_ended(ids, timeout_s=PATIENCE_S)

    def check_books(self) -> None:
        """Raises TrialFailedError with the violations if the ledger is not clean."""
        self.trial.manage("check_credits")

    def _pid_or_none(self, service: str) -> int | None:
        try:
            return self.trial.pid(service)
        except TrialFailedError:
            return None


def wait_until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Returns when the condition holds; fails the test otherwise."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
