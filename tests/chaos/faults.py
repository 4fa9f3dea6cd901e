"""What is done to the studio: each fault begins, lasts, and ends."""

import contextlib
import os
import random
import signal
from typing import Any

import psycopg
import redis

from tests.chaos.schedule import Planned
from tests.chaos.stack import ChaosStack

CLOCK_S = 120.0
MOST_CUTS = 4
FULL_BYTES = "1"
# Which transactions lose the answer to their commit.
CUT = (
    'UPDATE "generation_image"',
    'INSERT INTO "credits_entry"',
    'INSERT INTO "generation_generation"',
    'UPDATE "credits_hold"',
    'INSERT INTO "generation_image"',
    'DELETE FROM "generation_image"',
)


class Fault:
    """One fault. `begin` returns what was done, in words, for the log."""

    def __init__(self, stack: ChaosStack, planned: Planned) -> None:
        self.stack = stack
        self.planned = planned
        self.rng = random.Random(planned.choice)

    def begin(self) -> str:
        """It is broken from now on."""
        raise NotImplementedError

    def end(self) -> None:
        """It is whole again, or is left to become so by itself."""


class Kill(Fault):
    """SIGKILL to the process that the kind names."""

    def begin(self) -> str:
        """The supervisor, or whoever keeps the supervisor, starts it again."""
        name = self.planned.kind.removeprefix("kill_")
        return f"SIGKILL to {name}: {self.stack.hit(name, signal.SIGKILL)}"


class KillBackend(Fault):
    """SIGKILL to one of PostgreSQL's processes: it ends all others and recovers."""

    def begin(self) -> str:
        """One that serves a session of the studio."""
        with self.stack.database("postgres") as database:
            rows = database.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = 'darkroom'"
                " AND pid <> pg_backend_pid() ORDER BY backend_start"
            ).fetchall()
        pids = [pid for (pid,) in rows]
        if not pids:
            return "no session to kill"
        pid = self.rng.choice(pids)
        os.kill(pid, signal.SIGKILL)
        return f"SIGKILL to a backend: {pid}"


class Pause(Fault):
    """SIGSTOP, and SIGCONT after a while: shorter or longer than a lease."""

    def begin(self) -> str:
        """Everything below it stops, too."""
        name = self.planned.kind.removeprefix("pause_").rpartition("_")[0]
        stopped = self.stack.hit(name, signal.SIGSTOP)
        self.stack.diary.note("stopped", name=name, pids=stopped)
        return f"SIGSTOP to {name}, {len(stopped)} processes"

    def end(self) -> None:
        """It goes on where it was."""
        self.stack.resume_all()


class FlushAll(Fault):
    """Valkey forgets everything."""

    def begin(self) -> str:
        """Messages, progress, counters, caches."""
        with contextlib.closing(self.stack.valkey()) as client:
            client.flushall()
        return "FLUSHALL"


class ValkeyFull(Fault):
    """Valkey takes nothing more."""

    def begin(self) -> str:
        """Reads are still answered."""
        self._limit(FULL_BYTES)
        return "maxmemory 1"

    def end(self) -> None:
        """There is room again."""
        with contextlib.suppress(redis.RedisError):  # restarted: the limit went with it
            self._limit("0")

    def _limit(self, size: str) -> None:
        with contextlib.closing(self.stack.valkey()) as client:
            client.config_set("maxmemory", size)


class CommitsLost(Fault):
    """Some commits are durable, and their answers never come."""

    def begin(self) -> str:
        """The next few commits of one sort of transaction."""
        self.cuts_before = self.stack.cut_commits()["cuts"]
        text, times = self.rng.choice(CUT), self.rng.randint(1, MOST_CUTS)
        self.stack.cut_commits(text=text, times=times)
        return f"{times} answers to a commit with {text} are lost"

    def end(self) -> None:
        """Those that came by are counted in the log."""
        cuts = self.stack.cut_commits(disarm=True)["cuts"] - self.cuts_before
        self.stack.diary.note("cuts", cuts=cuts)


class ConnectionsCut(Fault):
    """PostgreSQL ends every session."""

    def begin(self) -> str:
        """As a restart would, only faster."""
        return f"{end_sessions(self.stack)} sessions ended"


class ConnectionsUsedUp(Fault):
    """Somebody else has every connection, and the studio's own are gone."""

    def begin(self) -> str:
        """Until the server refuses one more."""
        self.taken: list[psycopg.Connection[Any]] = []
        end_sessions(self.stack)
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                self.taken.append(self.stack.database())
        return f"{len(self.taken)} connections taken"

    def end(self) -> None:
        """They are given back."""
        for connection in self.taken:
            connection.close()


class OtherClock(Fault):
    """The second worker's host has the wrong time."""

    def begin(self) -> str:
        """Two minutes ahead or behind, from when that worker draws."""
        ahead = self.planned.kind == "clock_ahead"
        self.stack.run_second_worker(clock_s=CLOCK_S if ahead else -CLOCK_S)
        self.stack.wait_for_second_worker()
        return f"the second worker's clock is {CLOCK_S:g} s {'ahead' if ahead else 'behind'}"

    def end(self) -> None:
        """It is started anew with the right time."""
        self.stack.run_second_worker()


class StorageFault(Fault):
    """Images cannot be written, or not be reached."""

    def begin(self) -> str:
        """See `media`."""
        self.stack.media.begin(self.planned.kind)
        return f"{self.planned.kind} by {self.stack.media.how}"

    def end(self) -> None:
        """See `media`."""
        self.stack.media.end()


NAMED: dict[str, type[Fault]] = {
    "kill_a_backend": KillBackend,
    "flushall": FlushAll,
    "valkey_full": ValkeyFull,
    "commits_lost": CommitsLost,
    "connections_cut": ConnectionsCut,
    "connections_used_up": ConnectionsUsedUp,
    "clock_ahead": OtherClock,
    "clock_behind": OtherClock,
}
FAMILIES: dict[str, type[Fault]] = {
    "kill_": Kill,
    "pause_": Pause,
    "storage_": StorageFault,
    "s3_": StorageFault,
}


def make_fault(stack: ChaosStack, planned: Planned) -> Fault:
    """The fault that was planned."""
    if planned.kind in NAMED:
        return NAMED[planned.kind](stack, planned)
    family = next(one for name, one in FAMILIES.items() if planned.kind.startswith(name))
    return family(stack, planned)


def end_sessions(stack: ChaosStack) -> int:
    """How many sessions of the studio were ended."""
    with stack.database("postgres") as database:
        ended = database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = 'darkroom' AND pid <> pg_backend_pid()"
        )
        return ended.rowcount
