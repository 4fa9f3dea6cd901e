"""How long an image still takes, by the pace of its own steps so far."""


class StepPace:
    """Told of every step; knows the pace from the second one on."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def left_s(self, *, step: int, steps: int, now_s: float) -> float | None:
        """Seconds until the last step; None before there is a pace.

        `now_s` is a monotonic clock. Steps of others in between count: they will be there, too.
        """
        if step < 1:
            return None
        if self._first is None:
            self._first = step, now_s
        first_step, first_s = self._first
        if step <= first_step:
            return None
        return (now_s - first_s) / (step - first_step) * (steps - step)
