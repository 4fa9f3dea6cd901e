"""Which fault comes when: a pure function of the seed and of where images are stored.

Every kind comes once a round, in an order of the seed's own; so a run of an hour sees each of them
several times, and the first faults of a seed are the same however long the run is.
"""

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass

LEASE_S = 10  # the shortest that the studio takes
FILES, S3 = "files", "s3"
STORAGES = (FILES, S3)
PAUSE_S = (3.0, 12.0)  # of ordinary life before a fault
CLOCK_S = (15.0, 30.0)
SHORT_S, LONG_S = (2.0, 7.0), (LEASE_S + 4.0, LEASE_S + 12.0)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: how long it lasts, and the storage that it needs ("" for any)."""

    name: str
    least_s: float
    most_s: float
    storage: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault of a run; `choice` (0 to 1) decides what the kind leaves open."""

    number: int
    kind: str
    pause_s: float
    lasts_s: float
    choice: float

    def __str__(self) -> str:
        lasts = f" for {self.lasts_s:.1f} s" if self.lasts_s else ""
        return f"{self.number:3d}. after {self.pause_s:4.1f} s: {self.kind}{lasts}"


def _kinds() -> Iterator[Kind]:
    """All of them, by name in the order of the table."""
    killed = ("web", "worker", "second_worker", "beat", "valkey", "postgres", "a_backend")
    for name in (*killed, "supervisor", "servers_supervisor"):
        yield Kind(f"kill_{name}", 0, 0)
    for name in ("web", "worker", "second_worker", "beat", "valkey", "postgres", "supervisor"):
        yield Kind(f"pause_{name}_short", *SHORT_S)
    for name in ("web", "worker", "second_worker", "valkey", "postgres"):
        yield Kind(f"pause_{name}_long", *LONG_S)
    yield Kind("flushall", 0, 0)
    yield Kind("valkey_full", 5, 15)
    yield Kind("commits_lost", 10, 15)
    yield Kind("connections_cut", 0, 0)
    yield Kind("connections_used_up", 5, 12)
    yield Kind("clock_ahead", *CLOCK_S)
    yield Kind("clock_behind", *CLOCK_S)
    yield Kind("storage_full", 6, 16, FILES)
    yield Kind("storage_read_only", 6, 16, FILES)
    yield Kind("s3_hangs", 6, 16, S3)
    yield Kind("s3_refuses", 6, 16, S3)


KINDS = {kind.name: kind for kind in _kinds()}


def plan_faults(seed: int, *, storage: str, only: Collection[str] = ()) -> Iterator[Planned]:
    """The faults of this seed, without an end; `only` of these kinds, when it names any.

    Raises ValueError for a kind that there is not, or not with this storage."""
    rng = random.Random(f"faults:{seed}:{storage}")  # a text is hashed alike in every process
    number = 0
    while True:
        for kind in _shuffled(rng, storage, only):
            number += 1
            yield Planned(
                number,
                kind.name,
                round(rng.uniform(*PAUSE_S), 1),
                round(rng.uniform(kind.least_s, kind.most_s), 1),
                round(rng.random(), 3),
            )


def plan_run(
    seed: int, *, storage: str, seconds: float, only: Collection[str] = ()
) -> list[Planned]:
    """As many faults of this seed as could begin in that time; recoveries take some of it."""
    planned: list[Planned] = []
    left_s = seconds
    for fault in plan_faults(seed, storage=storage, only=only):
        left_s -= fault.pause_s
        if left_s <= 0:
            return planned
        planned.append(fault)
        left_s -= fault.lasts_s
    return planned


def storages_of(seed: int, *, seconds: float) -> tuple[str, ...]:
    """Where a run stores its images: a long run has a part with each, a short one is the seed's."""
    if seconds >= LONG_RUN_S:
        return STORAGES
    return (STORAGES[seed % 2],)


LONG_RUN_S = 20 * 60


def _shuffled(rng: random.Random, storage: str, only: Collection[str]) -> list[Kind]:
    kinds = [kind for kind in KINDS.values() if kind.storage in ("", storage)]
    if unknown := set(only) - {kind.name for kind in kinds}:
        raise ValueError(f"no fault with images in {storage}: {', '.join(sorted(unknown))}")
    kinds = [kind for kind in kinds if not only or kind.name in only]
    rng.shuffle(kinds)
    return kinds
