"""Who goes on, who is parked, and who shares the next denoiser call. Reads top to bottom.

Requests wait, are admitted, and then take every call of their batch until they are finished.

Fair by owner: each owner carries the work served so far (rows x pixels x calls), and whoever was
served least goes first; an owner who was away starts level with the least served one present, so
that nobody saves up a claim (start-time fair queueing: P. Goyal, H. M. Vin, H. Cheng, SIGCOMM
1996, with equal weights). Admission counts the work that an owner's admitted requests still need
as served already; the choice of the next batch does not. Within an owner: first come, first
served.

Room is rows: requests of one shape are admitted up to the row cap. Somebody with nothing admitted
does not wait behind another's second image: that one is parked, which costs nothing, because a
request between two steps is only its latents. Requests of other shapes take turns, by owner again.

Models: only requests whose model is on the device are admitted. Another model is brought in when
there is room for it, when nobody has use for those present, or when somebody has waited for it
for a whole turn.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from worker.engine.request import ModelSource


@dataclass(slots=True, eq=False)
class Scheduled:
    """One request, as far as the policy cares.

    `shape` (model, LoRAs, size in pixels) is what tells before encoding which requests will
    probably share calls; rows are capped by it, as the device's time and memory go by it. `key`,
    known after encoding, tells which can: prompts of other lengths have the same shape and another
    key. `since_s`: when it began to wait. `alone`: shares no call.
    """

    request_id: str
    owner_id: str
    model: ModelSource
    shape: Hashable
    rows: int
    pixels: int
    calls_left: int
    since_s: float
    alone: bool = False
    key: Hashable | None = None

    @property
    def work_left(self) -> int:
        """What it still needs: rows x pixels x calls."""
        return self.rows * self.pixels * self.calls_left


class Scheduler:
    """The policy over all requests in the engine. Not thread-safe.

    `is_resident` and `has_room_for` say what the device holds and could hold beside it;
    `row_cap(shape)` how many rows one call may have; `turn_s` how long a request waits at
    most for its model while others have use for those present.
    """

    def __init__(
        self,
        *,
        is_resident: Callable[[ModelSource], bool],
        has_room_for: Callable[[ModelSource], bool],
        row_cap: Callable[[Hashable], int],
        turn_s: float,
    ) -> None:
        self._is_resident = is_resident
        self._has_room_for = has_room_for
        self._row_cap = row_cap
        self._turn_s = turn_s
        # owner_id -> requests not admitted, first come first; an owner without any has no entry
        self._waiting: dict[str, deque[Scheduled]] = {}
        # admitted, in the order of admission
        self._running: list[Scheduled] = []
        # owner_id -> work served so far; owners with nothing here are forgotten when that is just
        self._served: dict[str, int] = {}

    @property
    def waiting(self) -> int:
        """How many requests are not admitted."""
        return sum(len(queue) for queue in self._waiting.values())

    def __len__(self) -> int:
        return self.waiting + len(self._running)

    def add(self, entry: Scheduled) -> None:
        """Let a request wait behind its owner's earlier ones."""
        if entry.owner_id not in self._owners():
            level = self._level()
            self._served[entry.owner_id] = max(self._served.get(entry.owner_id, 0), level)
        self._waiting.setdefault(entry.owner_id, deque()).append(entry)

    def remove(self, entry: Scheduled) -> None:
        """Forget a request that is finished, failed or cancelled."""
        if entry in self._running:
            self._running.remove(entry)
        elif entry in self._waiting.get(entry.owner_id, ()):
            self._take_from_waiting(entry)
        self._forget_owners()

    # Which model is on the device

    def next_model(self, now_s: float) -> ModelSource | None:
        """The model to bring onto the device now; None if those present will do."""
        missing = [entry for entry in self._all() if not self._is_resident(entry.model)]
        missing.sort(key=lambda entry: self._claim(entry.owner_id))
        for entry in missing:
            if self._has_room_for(entry.model):
                return entry.model
        overdue = [entry for entry in missing if now_s - entry.since_s >= self._turn_s]
        if overdue:
            return min(overdue, key=lambda entry: entry.since_s).model
        if missing and len(missing) == len(self):
            return missing[0].model
        return None

    # Who is admitted

    def admit(self, now_s: float) -> list[Scheduled]:
        """Admit whoever has room, fairest owner first; returns those admitted now."""
        self._park_those_without_model(now_s)
        admitted: list[Scheduled] = []
        while (entry := self._next_admissible(now_s)) is not None:
            self._take_from_waiting(entry)
            self._running.append(entry)
            admitted.append(entry)
        return admitted

    def _next_admissible(self, now_s: float) -> Scheduled | None:
        full: set[Hashable] = set()  # behind a request that must wait, its shape waits too
        for entry in self._waiting_fairest_first():
            if entry.shape in full or not self._is_resident(entry.model):
                continue
            if self._make_room(entry, now_s):
                return entry
            full.add(entry.shape)
        return None

    def _make_room(self, entry: Scheduled, now_s: float) -> bool:
        """True if the entry's rows fit, if need be after parking others' further requests."""
        same = [other for other in self._running if other.shape == entry.shape]
        excess = sum(other.rows for other in same) + entry.rows - self._row_cap(entry.shape)
        if excess <= 0 or not same:
            return True
        if any(other.owner_id == entry.owner_id for other in self._running):
            return False
        parked = self._spare(same, excess)
        for other in parked:
            self._park(other, now_s)
        return bool(parked)

    def _spare(self, running: list[Scheduled], excess: int) -> list[Scheduled]:
        """The requests to park for `excess` rows: the most served owners' latest, one left to
        each owner; [] if they are not enough."""
        left = {owner: 0 for owner in self._served}
        for entry in running:
            left[entry.owner_id] += 1
        spared: list[Scheduled] = []
        for entry in sorted(reversed(running), key=lambda e: -self._claim(e.owner_id)):
            if excess > 0 and left[entry.owner_id] > 1:
                left[entry.owner_id] -= 1
                excess -= entry.rows
                spared.append(entry)
        return spared if excess <= 0 else []

    def _park(self, entry: Scheduled, now_s: float) -> None:
        self._running.remove(entry)
        entry.since_s = now_s
        self._waiting.setdefault(entry.owner_id, deque()).appendleft(entry)

    def _park_those_without_model(self, now_s: float) -> None:
        gone = [entry for entry in self._running if not self._is_resident(entry.model)]
        for entry in reversed(gone):
            self._park(entry, now_s)

    # Who shares the next call

    def next_batch(self) -> list[Scheduled]:
        """The admitted requests that take the next denoiser call together; [] if none is
        ready. Whoever was served least defines the key, and others with it fill the rows."""
        ready = [entry for entry in self._running if entry.key is not None]
        ready.sort(key=lambda entry: self._served[entry.owner_id])
        if not ready or ready[0].alone:
            return ready[:1]
        # Made anew for each call, so that whoever came or left since is in it or is not.
        key, rows = ready[0].key, 0
        batch: list[Scheduled] = []
        cap = self._row_cap(ready[0].shape)
        for entry in ready:
            # The first goes even if it alone exceeds the cap, or it would wait for ever.
            fits = not batch or rows + entry.rows <= cap
            if fits and entry.key == key and not entry.alone:
                batch.append(entry)
                rows += entry.rows
        return batch

    def charge(self, entry: Scheduled, *, calls: int = 1) -> None:
        """Write down that the request took `calls` denoiser calls; harmless for one removed."""
        if entry.owner_id in self._served:
            self._served[entry.owner_id] += entry.rows * entry.pixels * calls
        entry.calls_left -= calls

    # Owners

    def _claim(self, owner_id: str) -> int:
        """Work served, and still needed by what is admitted: the least claims the next place."""
        committed = sum(e.work_left for e in self._running if e.owner_id == owner_id)
        return self._served[owner_id] + committed

    def _level(self) -> int:
        return min((self._served[owner] for owner in self._owners()), default=0)

    def _owners(self) -> set[str]:
        return {entry.owner_id for entry in self._all()}

    def _all(self) -> Iterator[Scheduled]:
        yield from self._running
        for queue in self._waiting.values():
            yield from queue

    def _waiting_fairest_first(self) -> list[Scheduled]:
        # sorted() keeps the order of equals: the owner who has waited longest
        owners = sorted(self._waiting, key=self._claim)
        return [entry for owner in owners for entry in self._waiting[owner]]

    def _take_from_waiting(self, entry: Scheduled) -> None:
        queue = self._waiting[entry.owner_id]
        queue.remove(entry)
        if not queue:
            del self._waiting[entry.owner_id]

    def _forget_owners(self) -> None:
        """Drop owners who left and would start at the level anyway: memory stays bounded."""
        present, level = self._owners(), self._level()
        for owner in list(self._served):
            if owner not in present and (not present or self._served[owner] <= level):
                del self._served[owner]
