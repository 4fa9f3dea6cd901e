"""Who may be in the engine: many at once, or one suspect alone."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WAIT_S = 0.5


class EngineDoor:
    """An image that may be what stops workers is drawn alone: when it stops this one too, nobody
    else's drawing is counted with it. While one waits, nobody further comes in."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._suspects = 0  # waiting or inside

    @property
    def is_wanted_alone(self) -> bool:
        """Whether a suspect is inside or waits to be."""
        return self._suspects > 0

    @contextmanager
    def enter(self, *, alone: bool, is_over: Callable[[], bool]) -> Iterator[bool]:
        """True once the engine is the caller's, for the length of the block; False if `is_over`
        came true before."""
        entered = self._wait(alone=alone, is_over=is_over)
        try:
            yield entered
        finally:
            self._leave(alone=alone, entered=entered)

    def _wait(self, *, alone: bool, is_over: Callable[[], bool]) -> bool:
        with self._changed:
            self._suspects += alone
            while not (is_free := self._is_free(alone=alone)) and not is_over():
                self._changed.wait(WAIT_S)
            if is_free:
                self._inside += 1
            return is_free

    def _is_free(self, *, alone: bool) -> bool:
        return not self._inside if alone else not self._suspects

    def _leave(self, *, alone: bool, entered: bool) -> None:
        with self._changed:
            self._suspects -= alone
            self._inside -= entered
            self._changed.notify_all()
