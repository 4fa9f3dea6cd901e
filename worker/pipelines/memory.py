"""Memory: giving it back, telling when it ran out, and how much of it rows and weights take."""

import gc
import os
import resource
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from worker.engine.device_errors import is_allocation_failure
from worker.pipelines.host_copy import HostCopy

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_RESIDENT_SET = Path("/proc/self/statm")
# Of what is free, kept for what varies from call to call: workspaces, decoding, fragmentation.
_SPARE_SHARE = 0.15
_FIRST_ROWS = 2  # one guided request
_MOST_KEYS = 256  # sizes and models come and go


def release_memory() -> None:
    """Return what is no longer referenced to the device."""
    gc.collect()  # pipelines hold cycles
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """True when `error` means that an allocation failed, on whatever device."""
    return isinstance(error, torch.OutOfMemoryError) or is_allocation_failure(error)


def machine_memory() -> int:
    """Bytes of memory that this machine, or the container around the process, has."""
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(installed, int(_CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):  # no such file, or the word "max"
        return installed


def memory_in_use(device: torch.device) -> tuple[int, int]:
    """(used, total) bytes: of the whole device on CUDA, else of this process and the machine."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free, total
    return _resident_set(), machine_memory()


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Bytes of a device: `total`, and what this process could have if it gave all back (`ours`):
    the rest is held by other programs."""

    total: int
    ours: int


def device_memory(device: torch.device) -> DeviceMemory:
    """What `device` has now; a device that shares the machine's memory can give all of it."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return DeviceMemory(total, free + torch.cuda.memory_reserved(device))
    total = machine_memory()
    return DeviceMemory(total, total)


def _resident_set() -> int:
    try:
        pages = int(_RESIDENT_SET.read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # no Linux: the most it ever was; macOS counts in bytes, others in KiB
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


# Weights


def weights_of(pipeline: Any, *, but: Set[str] = frozenset()) -> Iterator[Tensor]:
    """Every parameter and buffer of the pipeline's components, each once, `but` of those named."""
    seen: set[int] = set()
    for name, component in pipeline.components.items():
        if isinstance(component, torch.nn.Module) and name not in but:
            for tensor in (*component.parameters(), *component.buffers()):
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield tensor


def weight_bytes(pipeline: Any, *, but: Set[str] = frozenset()) -> int:
    """Bytes that the pipeline's parameters and buffers take, `but` of the components named."""
    return sum(tensor.nbytes for tensor in weights_of(pipeline, but=but))


def move_weights(pipeline: Any, device: torch.device, *, but: Set[str] = frozenset()) -> None:
    """Put every weight on `device`, `but` of the components named; see `HostCopy` for the CPU.

    The tensors stay the same objects, so that whatever shares them moves along. Copies are asked
    for and not waited for. Raises what the allocator raises, with a part of the weights moved.
    """
    weights = list(weights_of(pipeline, but=but))
    if device.type == "cpu":
        HostCopy(weights).settle()
        return
    for tensor in weights:
        tensor.data = tensor.data.to(device, non_blocking=True)


def drop_weights(pipeline: Any) -> None:
    """Let go of every weight, even if something still refers to the pipeline: parked requests
    may, and the memory is wanted now."""
    for tensor in weights_of(pipeline):
        tensor.data = tensor.data.new_empty(0)


# Rows


class MemoryProbe(Protocol):
    """What the device tells of its memory, in bytes, without waiting for it."""

    def mark(self) -> None:
        """From now on `peak` counts anew."""
        ...

    def peak(self) -> int:
        """The most bytes that were allocated since `mark`, beyond those that were then."""
        ...

    def available(self) -> int:
        """Bytes that can still be allocated."""
        ...


class CudaProbe:
    """A `MemoryProbe`: the caching allocator's own counters; not run if there is no CUDA device.

    `held_by_graphs` tells how many bytes captured graphs keep in pools of their own: the allocator
    counts what lies unused there as its own, but no call beside the graphs can have it.
    """

    def __init__(
        self, device: torch.device, *, held_by_graphs: Callable[[], int] = lambda: 0
    ) -> None:
        self._device = device
        self._held_by_graphs = held_by_graphs
        self._before = 0

    def mark(self) -> None:
        torch.cuda.reset_peak_memory_stats(self._device)
        self._before = torch.cuda.memory_allocated(self._device)

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated(self._device) - self._before

    def available(self) -> int:
        """See `MemoryProbe.available`: what is free, and what the allocator holds unused."""
        free, _total = torch.cuda.mem_get_info(self._device)
        held = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return free + max(0, held - self._held_by_graphs())


@dataclass(slots=True)
class MeasuredCall:
    """One denoiser call: whoever makes it fills in the `rows` that its peak stands for, or leaves
    None if the peak means nothing (a replayed graph allocates nothing)."""

    rows: int | None = None


@dataclass(slots=True)
class _Rows:
    """What is known of one key: rows -> peak bytes, and the limit found from it."""

    peaks: dict[int, int] = field(default_factory=dict)
    ceiling: int | None = None  # half of what ran out of memory
    limit: int | None = None  # as computed; None after a change


class RowMeter:
    """How many rows one denoiser call has room for, learnt from the calls made.

    Two calls of different row counts give the bytes that a row takes and those that any call
    takes; the rest of the memory says how many rows there may be. Until then the limit is twice
    what has been seen to work. Without a probe (CPU, MPS) nothing is known.
    """

    def __init__(self, probe: MemoryProbe | None) -> None:
        self._probe = probe
        self._keys: OrderedDict[Hashable, _Rows] = OrderedDict()

    def limit(self, key: Hashable) -> int | None:
        """Most rows for `key`, at least 1; None if memory cannot be asked."""
        if self._probe is None:
            return None
        known = self._known(key)
        if known.limit is None:
            most = _limit(known.peaks, self._probe.available() * (1 - _SPARE_SHARE))
            known.limit = max(1, min(most, known.ceiling or most))
        return known.limit

    @contextmanager
    def measuring(self, key: Hashable, rows: int) -> Iterator[MeasuredCall]:
        """Measure the call made inside; `rows` are too many if it runs out of memory."""
        call = MeasuredCall()
        if self._probe is None:
            yield call
            return
        # Every question makes the allocator count all that it knows: none if nothing is learnt.
        is_new = rows not in self._known(key).peaks
        if is_new:
            self._probe.mark()
        try:
            yield call
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                self._lower(self._known(key), rows)
            raise
        if is_new:
            self._note(self._known(key), call.rows, self._probe.peak())

    def room_changed(self) -> None:
        """Something else took memory, or gave it back: limits are found anew."""
        for known in self._keys.values():
            known.limit = None

    def forget_limits(self) -> None:
        """Models came or went: what is free is another amount now."""
        for known in self._keys.values():
            known.limit = known.ceiling = None

    def _known(self, key: Hashable) -> _Rows:
        if key not in self._keys:
            if len(self._keys) >= _MOST_KEYS:
                self._keys.popitem(last=False)
            self._keys[key] = _Rows()
        return self._keys[key]

    def _note(self, known: _Rows, rows: int | None, peak: int) -> None:
        if rows is not None and rows not in known.peaks:
            known.peaks[rows] = peak
            known.limit = None

    def _lower(self, known: _Rows, rows: int) -> None:
        known.ceiling = max(1, rows // 2)
        known.limit = None


def _limit(peaks: dict[int, int], room: float) -> int:
    if len(peaks) < 2:
        return max((2 * rows for rows in peaks), default=_FIRST_ROWS)
    fewest, most = min(peaks), max(peaks)
    slope = (peaks[most] - peaks[fewest]) / (most - fewest)
    if slope <= 0:  # both fitted into the same workspace: nothing learnt about a row's share
        return 2 * most
    fixed = peaks[fewest] - slope * fewest
    return int((room - fixed) / slope)
