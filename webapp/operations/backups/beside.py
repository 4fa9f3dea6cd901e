"""Much of the same kind, a few at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Thing = TypeVar("Thing")
Done = TypeVar("Done")

AT_ONCE = 8
WAITING = 64


def done_beside(act: Callable[[Thing], Done], things: Iterable[Thing]) -> Iterator[Done]:
    """What `act` makes of each, in their order, by a few threads; few things are taken before
    their time. Raises what `act` raises first, and begins no other then."""
    waiting: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="backup") as threads:
        try:
            for thing in things:
                waiting.append(threads.submit(act, thing))
                if len(waiting) >= WAITING:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(wait=True, cancel_futures=True)
