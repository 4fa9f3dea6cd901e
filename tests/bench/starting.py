"""How long a used folder takes to its first page."""

import statistics
from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.figures import Figure

WARM_STARTS = 3
WARM_START_S = 10.0


def measure_starting(bench: Bench) -> Iterator[Figure]:
    """From the command to the first page served, on a folder that has been used before."""
    trial = bench.trial("starting")
    seconds = []
    for _start in range(1 + WARM_STARTS):
        try:
            seconds.append(trial.start())
        finally:
            trial.stop()
    warm = seconds[1:]
    note = f"median of {WARM_STARTS}, {min(warm):.1f} to {max(warm):.1f}"
    yield Figure("warm_start_s", statistics.median(warm), WARM_START_S, note=note)
