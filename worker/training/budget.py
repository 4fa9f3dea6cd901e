"""How long a run lasts: minutes on the clock or a number of steps, kept across interruptions."""

import math
import time
from dataclasses import dataclass, field


@dataclass
class Budget:
    """Exactly one of `minutes` and `steps` is set; `spent_s` carries earlier runs' time.

    A run by steps is deterministic by its seed; in a run by minutes the clock shapes the learning
    rate, so that two machines end differently.
    """

    minutes: float | None = None
    steps: int | None = None
    spent_s: float = 0.0
    _started_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("Give either minutes or steps, not both and not neither.")

    def elapsed_s(self) -> float:
        """Seconds trained so far, earlier runs included."""
        return self.spent_s + time.monotonic() - self._started_s

    def fraction(self, step: int) -> float:
        """How much is used up: 0 at the start, 1 or more when it is over."""
        if self.minutes is not None:
            return self.elapsed_s() / (60.0 * self.minutes)
        return step / (self.steps or 1)


def learning_rate(peak: float, *, step: int, fraction: float, warmup_steps: int = 100) -> float:
    """Linear warm-up, then flat, then a half cosine to zero over the second half of the run."""
    decay = 0.5 * (1.0 + math.cos(math.pi * min(1.0, max(0.0, fraction * 2.0 - 1.0))))
    return peak * min(1.0, (step + 1) / warmup_steps) * decay
