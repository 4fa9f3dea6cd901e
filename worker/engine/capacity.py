"""How many rows a denoiser call may have: as many as still make the device draw faster.

A call of twice the rows takes less than twice the time while the device has room, and exactly
twice after that; from there more rows only make everybody wait. Where that point lies depends on
device, model and size, so it is learned from the calls themselves: throughput (rows per second)
is kept for 1, 2, 4, 8 ... rows, and the cap goes up one size at a time while that pays.

A size that is replayed from a graph is faster than one that is not yet, whatever its rows: only
times of calls that were made the same way are compared.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from math import log2
from typing import Final

from worker.engine.runner import WAYS_BY_SPEED, CallWay

FIRST_CAP: Final = 4
WORTH_IT: Final = 1.05  # twice the rows must be at least so much faster
TRUSTED_AFTER: Final = 3  # calls of one size
FORGET_AFTER: Final = 500  # calls, after which a larger size is tried again, memory or not
SMOOTHING: Final = 0.3
SHAPES_KEPT: Final = 256


@dataclass(slots=True)
class _Pace:
    """Rows per second, smoothed, and how often seen."""

    rate: float
    seen: int = 1

    def note(self, rate: float) -> None:
        self.seen += 1
        # The very first call of a size may allocate, or load kernels.
        self.rate = rate if self.seen == 2 else self.rate + SMOOTHING * (rate - self.rate)


@dataclass(slots=True)
class _Shape:
    """What is known of one shape: how the call was made -> rows (a power of two) -> its pace."""

    paces: dict[CallWay, dict[int, _Pace]] = field(default_factory=dict)
    calls: int = 0
    ceiling: int | None = None  # set by running out of memory
    memory_limit: int | None = None


class RowCap:
    """Learns the row cap of every shape; `most` bounds all of them. Used by one thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._shapes: dict[Hashable, _Shape] = {}

    def cap(self, shape: Hashable) -> int:
        """Rows that the next call of `shape` may have: at least 1."""
        known = self._shapes.get(shape)
        learned = FIRST_CAP if known is None else _learned(known)
        limits = [learned, self._most]
        if known is not None:
            limits += [limit for limit in (known.ceiling, known.memory_limit) if limit is not None]
        return max(1, min(limits))

    def note(self, shape: Hashable, *, rows: int, seconds: float, way: CallWay = "eager") -> None:
        """Learn from a call of `rows` rows that took the device `seconds`."""
        known = self._known(shape)
        size, rate = _size_of(rows), rows / max(seconds, 1e-9)
        paces = known.paces.setdefault(way, {})
        if size in paces:
            paces[size].note(rate)
        else:
            paces[size] = _Pace(rate)
        known.calls += 1
        if known.calls % FORGET_AFTER == 0:
            _forget_above(known, _learned(known))
            known.ceiling = None  # other models may have left; a call too large loses nothing

    def note_out_of_memory(self, shape: Hashable, *, rows: int) -> None:
        """A call of `rows` rows did not fit: for the next while at most half as many."""
        self._known(shape).ceiling = max(1, rows // 2)

    def note_memory(self, shape: Hashable, limit: int | None) -> None:
        """Rows that the device has room for; None if that is not known."""
        self._known(shape).memory_limit = limit

    def _known(self, shape: Hashable) -> _Shape:
        if shape not in self._shapes and len(self._shapes) >= SHAPES_KEPT:
            del self._shapes[next(iter(self._shapes))]
        return self._shapes.setdefault(shape, _Shape())


def _learned(known: _Shape) -> int:
    """The smallest size that no larger one beats; twice that while no larger one was tried."""
    trusted = sorted({size for paces in known.paces.values() for size in _trusted(paces)})
    if not trusted:
        return FIRST_CAP
    best = next(size for size in trusted if not _is_beaten(known, size, trusted))
    return 2 * best if best == trusted[-1] else best


def _trusted(paces: dict[int, _Pace]) -> set[int]:
    return {size for size, pace in paces.items() if pace.seen >= TRUSTED_AFTER}


def _is_beaten(known: _Shape, size: int, by: list[int]) -> bool:
    """True if a larger size is faster by `WORTH_IT` for every doubling."""
    return any(
        gain >= WORTH_IT ** log2(larger / size)
        for larger in by
        if larger > size and (gain := _gain(known, size, larger)) is not None
    )


def _gain(known: _Shape, size: int, larger: int) -> float | None:
    """How much faster the larger size is, by the fastest way that both were called; None if
    there is no such way."""
    for way in WAYS_BY_SPEED:
        paces = known.paces.get(way, {})
        if {size, larger} <= _trusted(paces):
            return paces[larger].rate / paces[size].rate
    return None


def _size_of(rows: int) -> int:
    """The power of two at or above `rows`."""
    return 1 << (rows - 1).bit_length()


def _forget_above(known: _Shape, cap: int) -> None:
    for paces in known.paces.values():
        for size in [size for size in paces if size > cap]:
            del paces[size]
