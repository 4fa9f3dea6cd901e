"""Whether pages are served: one is asked for twice a second, from the first fault to the last."""

import contextlib
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus

from tests.chaos.browser import Away
from tests.chaos.visitor import PASSWORD, Visitor

EVERY_S = 0.5
SLOW_S = 5.0  # a page that takes longer is away


@dataclass(frozen=True, slots=True)
class Probe:
    """One page that was asked for."""

    begun_s: float
    ended_s: float
    is_good: bool


class Monitor(threading.Thread):
    """Asks for the studio's page as somebody who is signed in."""

    def __init__(self, visitor: Visitor) -> None:
        super().__init__(name="monitor", daemon=True)
        self.visitor = visitor
        self.probes: list[Probe] = []
        self.stop = threading.Event()

    def run(self) -> None:
        """Until `stop`."""
        while not self.stop.wait(EVERY_S):
            begun_s = self.visitor.diary.now()
            is_good = self.is_served()
            self.probes.append(Probe(begun_s, self.visitor.diary.now(), is_good))

    def is_served(self) -> bool:
        """Whether the page came, and in time."""
        with contextlib.suppress(Away):
            answer = self.visitor.browser.get("/", timeout_s=SLOW_S)
            if answer.status == HTTPStatus.FOUND:
                self.visitor.sign_in(PASSWORD)
            return answer.status == HTTPStatus.OK
        return False

    def wait_until_good(self, since_s: float, *, timeout_s: float) -> float | None:
        """When the first page came that was asked for after `since_s`; None when none does."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            good = [one for one in list(self.probes) if one.is_good and one.begun_s >= since_s]
            if good:
                return good[0].ended_s
            time.sleep(0.05)
        return None

    def away_s(self, since_s: float) -> float:
        """Seconds since then without pages: from each first one that did not come until one
        comes again."""
        away_s, gone_s = 0.0, None
        for probe in [one for one in list(self.probes) if one.begun_s >= since_s]:
            if not probe.is_good and gone_s is None:
                gone_s = probe.begun_s
            elif probe.is_good and gone_s is not None:
                away_s += probe.ended_s - gone_s
                gone_s = None
        return away_s if gone_s is None else away_s + self.visitor.diary.now() - gone_s
