"""Encoded prompts kept for the next image with the same words."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

CACHE_BYTES: Final = 64 * 1024 * 1024


class Sized(Protocol):
    """What can be kept: it knows how many bytes it holds."""

    @property
    def nbytes(self) -> int: ...


Entry = TypeVar("Entry", bound=Sized)


@dataclass(slots=True)
class CacheCounts:
    """How often words were found (`hits`) and had to be encoded (`misses`) since the start.

    Only the engine thread adds; any thread may read.
    """

    hits: int = 0
    misses: int = 0


# Of all models of this process: a model that leaves the device takes its cache along, and a
# counter that went down would not be one.
COUNTS: Final = CacheCounts()


class PromptCache:
    """The least recently used entries leave when those kept exceed `limit_bytes`.

    Belongs to one loaded model, and what it holds is where that model's encoders put it.
    """

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._entries: OrderedDict[Hashable, Any] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return self._held_bytes

    def get(self, key: Hashable, encode: Callable[[], Entry]) -> Entry:
        """Return what is kept under `key`, else what `encode` returns, which is then kept."""
        if key in self._entries:
            COUNTS.hits += 1
            self._entries.move_to_end(key)
            kept: Entry = self._entries[key]
            return kept
        COUNTS.misses += 1
        entry = self._entries[key] = encode()
        self._held_bytes += entry.nbytes
        self._shrink()
        return entry

    def clear(self) -> None:
        """Forget everything, for instance before the model leaves the device."""
        self._entries.clear()
        self._held_bytes = 0

    def _shrink(self) -> None:
        while self._held_bytes > self._limit_bytes:
            _, entry = self._entries.popitem(last=False)
            self._held_bytes -= entry.nbytes
