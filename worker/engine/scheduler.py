"""Who is served next: start-time fair queueing by owner, first in first out within an owner.

P. Goyal, H. M. Vin, H. Cheng, "Start-time Fair Queuing", SIGCOMM 1996, with equal weights: each
owner carries the cost served so far, the least served goes next, and an owner who was idle starts
level with the one being served, so that nobody saves up a claim by staying away.
"""

from collections import deque

from worker.engine.request import ImageRequest


def cost_of(request: ImageRequest) -> int:
    """Return the work in a request, in pixel steps."""
    return request.width_px * request.height_px * request.steps


class FairQueue:
    """Waiting request ids, handed out least-served owner first. Not thread-safe."""

    def __init__(self) -> None:
        # owner_id -> (request_id, cost); an owner without waiting requests has no entry
        self._waiting: dict[str, deque[tuple[str, int]]] = {}
        # owner_id -> cost served so far, in pixel steps
        self._served: dict[str, int] = {}
        self._level = 0

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._waiting.values())

    def push(self, *, request_id: str, owner_id: str, cost: int) -> None:
        """Add a request behind the owner's earlier ones."""
        if owner_id not in self._waiting:
            self._served[owner_id] = max(self._served.get(owner_id, 0), self._level)
            self._waiting[owner_id] = deque()
        self._waiting[owner_id].append((request_id, cost))

    def pop(self) -> str | None:
        """Return the id to serve next and charge its owner; None when nothing waits."""
        if not self._waiting:
            return None
        # min() keeps the first of equals: the owner who has waited longest
        owner_id = min(self._waiting, key=self._served.__getitem__)
        request_id, cost = self._waiting[owner_id].popleft()
        self._level = self._served[owner_id]
        self._served[owner_id] += cost
        self._forget_if_empty(owner_id)
        self._forget_settled_owners(last=owner_id)
        return request_id

    def remove(self, request_id: str) -> bool:
        """Take a waiting request out; False when it is not waiting. Costs its owner nothing."""
        for owner_id, queue in self._waiting.items():
            for entry in queue:
                if entry[0] == request_id:
                    queue.remove(entry)
                    self._forget_if_empty(owner_id)
                    return True
        return False

    def _forget_if_empty(self, owner_id: str) -> None:
        if not self._waiting[owner_id]:
            del self._waiting[owner_id]

    def _forget_settled_owners(self, last: str) -> None:
        """Drop idle owners whose past no longer counts, so that memory stays bounded.

        That is who would start at the level anyway, and, once nobody is kept waiting, everybody
        but the owner being served.
        """
        if not self._waiting:
            self._served = {last: self._served[last]}
        for owner_id in [o for o, served in self._served.items() if served <= self._level]:
            if owner_id not in self._waiting:
                del self._served[owner_id]
