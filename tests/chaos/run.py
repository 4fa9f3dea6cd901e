"""One part of a run: a stack, its people, one fault after the other, and the oracle after each."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from psycopg import IsolationLevel, OperationalError

from tests.chaos import oracle
from tests.chaos.admin import Admin
from tests.chaos.book import Book
from tests.chaos.browser import Away
from tests.chaos.diary import Diary
from tests.chaos.facts import Facts, read_facts
from tests.chaos.faults import make_fault
from tests.chaos.listener import Listener
from tests.chaos.media import Media
from tests.chaos.monitor import Monitor
from tests.chaos.oracle import Violation
from tests.chaos.people import Person
from tests.chaos.report import Outcome, Part, shortened
from tests.chaos.schedule import Planned
from tests.chaos.stack import ChaosStack
from tests.chaos.visitor import SignedOut, Visitor
from tests.trial import TrialFailedError

PEOPLE, LISTENERS = 5, 3
PAGE_S, IMAGE_S = 60.0, 120.0  # how long a page and an image are waited for after a fault
CATCH_UP_S = 75.0  # a page that thinks its stream is open asks once a minute
QUIET_S = 180.0
ONCE_MORE_S = 3.0
SWEPT_S = 60.0
LEAVE_S = 25.0  # an answer and a silent stream are waited for less long


class Run:
    """A stack with its people. `go` returns what was found."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        faults: Iterator[Planned],
        media: Media,
        diary: Diary,
        seconds: float,
    ) -> None:
        self.seed, self.faults, self.seconds = seed, faults, seconds
        self.diary, self.media, self.book = diary, media, Book()
        self.stack = ChaosStack(folder, media=media, diary=diary)
        self.part = Part(media.how)
        self.seen: set[str] = set()
        self.people: list[Person] = []
        self.listeners: list[Listener] = []
        self.monitor: Monitor
        self.admin: Admin
        self.prober: Visitor
        self.keys = random.Random(f"prober:{seed}")

    def go(self) -> Part:
        """Starts everything, breaks it until the time is over, looks a last time, and stops."""
        started = time.monotonic()
        try:
            self.stack.start()
            self.diary.say(f"the studio is up on port {self.stack.port}")
            self.enter()
            self.break_things(until_s=self.diary.now() + self.seconds)
            self.part.violations = self.look_at_the_end()
            if self.part.all_violations:
                self.media.keep(self.stack.folder)
        finally:
            self.leave()
            self.stack.stop()
            self.part.seconds = time.monotonic() - started
            self.part.requests = self.diary.requests
            self.part.answers = dict(self.diary.answers)
        return self.part

    def enter(self) -> None:
        """People come in; the first image of each part is awaited before anything is broken."""
        common = {"port": self.stack.port, "book": self.book, "diary": self.diary}
        self.prober = Visitor("prober", number=110, **common)  # type: ignore[arg-type]
        watcher = Visitor("monitor", number=111, **common)  # type: ignore[arg-type]
        for visitor in (self.prober, watcher):
            if not visitor.sign_up(f"{visitor.who}@example.org"):
                raise TrialFailedError(f"{visitor.who} could not sign up")
        self.monitor = Monitor(watcher)
        self.admin = Admin(
            self.stack, self.people, seed=self.seed, book=self.book, diary=self.diary
        )
        for number in range(1, PEOPLE + 1):
            person = Person(
                number,
                seed=self.seed,
                codes=self.admin.codes,
                **common,  # type: ignore[arg-type]
            )
            self.people.append(person)
        self.listeners = [Listener(person) for person in self.people[:LISTENERS]]
        for thread in (self.monitor, self.admin, *self.people, *self.listeners):
            thread.start()
        first_s = self.draw_one(timeout_s=IMAGE_S)
        self.diary.say(f"the first image took {first_s} s")

    def leave(self) -> None:
        """Everybody stops what they do."""
        threads: list[Any] = [*self.people, *self.listeners]
        threads += [getattr(self, name) for name in ("admin", "monitor") if hasattr(self, name)]
        for thread in threads:
            thread.stop.set()
        deadline = time.monotonic() + LEAVE_S
        for thread in threads:
            if thread.is_alive():
                thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def break_things(self, *, until_s: float) -> None:
        """One fault after the other, in the seed's order."""
        for planned in self.faults:
            if self.diary.now() + planned.pause_s >= until_s:
                return
            time.sleep(planned.pause_s)
            outcome = self.break_one(planned)
            self.part.outcomes.append(outcome)
            self.diary.say(
                f"{planned.number}. {outcome.kind}: {outcome.did}; pages away"
                f" {outcome.away_s:.1f} s, first page {_s(outcome.page_s)},"
                f" first image {_s(outcome.image_s)}"
            )
            for line in shortened(outcome.violations):
                self.diary.say(f"   {line}")

    def break_one(self, planned: Planned) -> Outcome:
        """The fault, its end, how long the studio took to come back, and what is wrong then."""
        fault, begun_s = make_fault(self.stack, planned), self.diary.now()
        outcome = Outcome(planned.kind, begun_s, "")
        try:
            outcome.did = fault.begin()
            self.diary.note("fault", **{"begins": planned.kind, "did": outcome.did})
            time.sleep(planned.lasts_s)
        finally:
            fault.end()
        ended_s = self.diary.now()
        self.diary.note("fault", ends=planned.kind)
        good_s = self.monitor.wait_until_good(ended_s, timeout_s=PAGE_S)
        outcome.page_s = None if good_s is None else good_s - ended_s
        if self.draw_one(timeout_s=IMAGE_S) is not None:
            outcome.image_s = self.diary.now() - ended_s
        outcome.away_s = self.monitor.away_s(begun_s)
        outcome.violations = [*self.absences(outcome), *self.look()]
        return outcome

    def absences(self, outcome: Outcome) -> list[Violation]:
        """What did not come back."""
        found = []
        if outcome.page_s is None:
            found.append(Violation("away", f"no page within {PAGE_S:g} s of {outcome.kind}"))
        if outcome.image_s is None:
            found.append(Violation("away", f"no new image within {IMAGE_S:g} s of {outcome.kind}"))
        return found

    def draw_one(self, *, timeout_s: float) -> float | None:
        """Seconds until an image that is asked for now is stored; None when it is not in time."""
        begun = time.monotonic()
        fields = {"prompt": "a lamp", "model": "tiny", "width": "64", "height": "64", "steps": "4"}
        fields |= {"guidance_scale": "5", "sampler": "ddim", "count": "1"}
        ids: list[str] = []
        while time.monotonic() - begun < timeout_s:
            try:
                ids = ids or self.prober.order(f"{self.keys.getrandbits(128):032x}", fields)
                self.prober.look()
            except (Away, SignedOut, KeyError):
                time.sleep(0.5)
            if ids and set(ids) <= set(self.prober.images("stored")):
                return round(time.monotonic() - begun, 1)
            time.sleep(0.2)
        return None

    def look(self) -> list[Violation]:
        """What is wrong now; what is right a moment later was only under way."""
        found = self.seldom(
            lambda: oracle.judge(self.facts(), self.book, self.media.read, seen=self.seen)
        )
        found += oracle.judge_stuck(self.facts())
        return self.news(found + self.views())

    def news(self, found: Iterable[Violation]) -> list[Violation]:
        """Those that no fault before has brought up."""
        known = {one for outcome in self.part.outcomes for one in outcome.violations}
        return [one for one in dict.fromkeys(found) if one not in known]

    def seldom(self, judge: Callable[[], list[Violation]]) -> list[Violation]:
        """What is found twice, a few seconds apart: a file can go between the look at its row and
        the look at itself."""
        found = judge()
        if not found:
            return []
        time.sleep(ONCE_MORE_S)
        again = set(judge())
        return [one for one in found if one in again]

    def views(self) -> list[Violation]:
        """What the open pages show wrongly for longer than a stream takes to catch up."""
        facts = self.facts()
        deadline = time.monotonic() + CATCH_UP_S
        while (wrong := self.wrong_views(facts)) and time.monotonic() < deadline:
            time.sleep(1.0)
        return wrong

    def wrong_views(self, facts: Facts) -> list[Violation]:
        """Open pages against what was true at that moment."""
        found = []
        for person in [listener.visitor for listener in self.listeners]:
            with person.lock:
                view = dict(person.view)
            found += oracle.judge_view(facts, view, who=person.who)
        return found

    def look_at_the_end(self) -> list[Violation]:
        """Nobody orders any more; when all is quiet, everything is looked at."""
        for person in self.people:
            person.ordering.clear()
        self.diary.say("nobody orders any more; waiting until all is quiet")
        deadline = time.monotonic() + QUIET_S
        while self.is_busy() and time.monotonic() < deadline:
            time.sleep(1.0)
        views = self.views()
        self.leave()
        self.diary.say("everybody has left")
        self.wait_for_sweepers()
        facts = self.facts()
        self.part.counts = oracle.count(facts)
        found = oracle.judge_end(facts, self.book, self.media.read, self.media.names())
        return [*found, *views, *self.check_credits()]

    def is_busy(self) -> bool:
        """Whether anything is queued or running."""
        return any(row.state in oracle.LIVE for row in self.facts().images.values())

    def wait_for_sweepers(self) -> None:
        """Discarded files go within a few ticks of beat, orphans with the sweep of orphans."""
        self.part.orphans = self.stack.sweep_orphans()
        deadline = time.monotonic() + SWEPT_S
        while time.monotonic() < deadline:
            facts = self.facts()
            if not [*facts.discarded, *oracle.orphans(facts, self.media.names())]:
                return
            time.sleep(2.0)

    def check_credits(self) -> list[Violation]:
        """What the studio's own command finds."""
        try:
            self.diary.say(self.stack.manage("check_credits").strip())
        except TrialFailedError as error:
            return [Violation("check_credits", line) for line in str(error).splitlines()]
        return []

    def facts(self) -> Facts:
        """One snapshot; the database may still be on its way back."""
        deadline = time.monotonic() + PAGE_S
        while True:
            try:
                with self.stack.database() as database:
                    database.isolation_level = IsolationLevel.REPEATABLE_READ
                    return read_facts(database.cursor())
            except OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)


def _s(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"
