"""How much memory something took at its peak."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

BYTES_PER_MB = 1 << 20
_PROCESS = Path("/proc/self")
_RESET = "reset_peak_memory_stats"


class PeakMemory:
    """The peak since it was made, above what was in use then: the device's if that is CUDA, else
    the process's as Linux counts it.

    CUDA has one counter, which the engine starts anew at each step. So whoever does that
    meanwhile is noticed, and what the counter said before is kept; ask `mb` once, at the end.
    """

    def __init__(self, device: str) -> None:
        self._on_cuda = device == "cuda"
        self._kept_mb = 0.0
        self._reset: Callable[..., Any] = torch.cuda.reset_peak_memory_stats
        if self._on_cuda:
            torch.cuda.synchronize()
            self._reset()
            setattr(torch.cuda, _RESET, self._keep_and_reset)
        elif _PROCESS.exists():
            (_PROCESS / "clear_refs").write_text("5")  # forget the peak so far, says proc(5)
        self._before_mb = self._read_mb("VmRSS")

    def mb(self) -> float | None:
        """Megabytes above the start; None when the system does not say."""
        peak_mb = self._read_mb("VmHWM")
        if self._on_cuda:
            setattr(torch.cuda, _RESET, self._reset)
        if peak_mb is None or self._before_mb is None:
            return None
        return max(peak_mb, self._kept_mb) - self._before_mb

    def _keep_and_reset(self, *device: Any) -> None:
        self._kept_mb = max(self._kept_mb, self._read_mb("VmHWM") or 0.0)
        self._reset(*device)

    def _read_mb(self, name: str) -> float | None:
        if self._on_cuda:
            is_peak = name == "VmHWM"
            used = torch.cuda.max_memory_allocated if is_peak else torch.cuda.memory_allocated
            return used() / BYTES_PER_MB
        if not _PROCESS.exists():
            return None
        lines = (_PROCESS / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
