"""`make bench ONLY=ci BASE=commit`: how long `.ci/run` takes, beside the base's, from fresh clones.

Each side installs, checks and tests as a push does: an hour in all, on a machine that does nothing
else. What comes before the tests' time is the same on both sides once pip's cache is warm.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.bench import Bench, checkout_of
from tests.bench.figures import Figure
from tests.trial import TrialFailedError

CI_RATIO = 0.4
LIMIT_S = 5400.0
SAID_AT_MOST = 4000


def measure_ci(bench: Bench) -> Iterator[Figure]:
    """Wall seconds of `.ci/run`, the base's too; raises TrialFailedError if one does not pass."""
    with checkout_of("HEAD") as folder:
        now_s = run_ci(folder)
    yield Figure("ci_s", now_s, note="wall time of .ci/run, installing included")
    if bench.base is not None:
        base_s = run_ci(bench.base)
        yield Figure("ci_ratio", now_s / base_s, CI_RATIO, note=f"of the base's {base_s:.0f} s")


def run_ci(checkout: Path) -> float:
    """Seconds; raises TrialFailedError with the end of what it said unless it passed in time."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DARKROOM_")}
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [checkout / ".ci" / "run"],
            cwd=checkout,
            env={**kept, "CI": "true", "PYTHON": sys.executable},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise TrialFailedError(f".ci/run did not end within {LIMIT_S:g} s") from error
    if done.returncode:
        raise TrialFailedError(f".ci/run failed: {done.stdout[-SAID_AT_MOST:]}")
    return time.monotonic() - begun
