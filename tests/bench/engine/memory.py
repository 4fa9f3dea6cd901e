"""How much memory something took at its peak."""

from pathlib import Path

import torch

BYTES_PER_MB = 1 << 20
_PROCESS = Path("/proc/self")


class PeakMemory:
    """The peak since it was made, above what was in use then: the device's where that is CUDA,
    else the process's as Linux counts it."""

    def __init__(self, device: str) -> None:
        self._on_cuda = device == "cuda"
        if self._on_cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        elif _PROCESS.exists():
            (_PROCESS / "clear_refs").write_text("5")  # forget the peak so far, says proc(5)
        self._before_mb = self._read_mb("VmRSS")

    def mb(self) -> float | None:
        """Megabytes above the start; None where the system does not say."""
        peak_mb = self._read_mb("VmHWM")
        if peak_mb is None or self._before_mb is None:
            return None
        return peak_mb - self._before_mb

    def _read_mb(self, name: str) -> float | None:
        if self._on_cuda:
            is_peak = name == "VmHWM"
            used = torch.cuda.max_memory_allocated if is_peak else torch.cuda.memory_allocated
            return used() / BYTES_PER_MB
        if not _PROCESS.exists():
            return None
        lines = (_PROCESS / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
