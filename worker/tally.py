"""What a worker has done since it began, for its heartbeat: `/metrics` shows it."""

import threading
from collections.abc import Mapping
from typing import Any

# Each from 0 on: what Prometheus first sees at a later figure has no rise.
STAGES = ("queue", "wait", "load", "encode", "denoise", "decode", "finish")


class Tally:
    """Counts images by how they ended, and sums up the seconds of those that were stored."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._images = {"stored": 0, "failed": 0}
        self._stages_s = dict.fromkeys(STAGES, 0.0)

    def note_stored(self, timings_s: Mapping[str, float]) -> None:
        """An image is stored; these are its seconds by stage, `encode_s` and so on of `STAGES`."""
        with self._lock:
            self._images["stored"] += 1
            for stage in STAGES:
                self._stages_s[stage] += timings_s[f"{stage}_s"]

    def note_failed(self) -> None:
        """An image could not be drawn."""
        with self._lock:
            self._images["failed"] += 1

    def read(self) -> dict[str, Any]:
        """`images` by end and `stages_s` by stage, as JSON."""
        with self._lock:
            seconds = {stage: round(spent, 3) for stage, spent in self._stages_s.items()}
            return {"images": dict(self._images), "stages_s": seconds}
