"""A worker on a host whose clock is wrong: `python -m tests.chaos.other_clock SECONDS celery`.

What the process reads as the time of day is ahead by so many seconds (behind, when negative);
durations are right, as they are on such a host.
"""

import datetime
import runpy
import sys
import time


def shift(seconds: float) -> None:
    """From now on `time.time` and Django's `timezone.now` are that far ahead."""
    true_time, true_time_ns = time.time, time.time_ns
    time.time = lambda: true_time() + seconds
    time.time_ns = lambda: true_time_ns() + int(seconds * 1e9)
    from django.utils import timezone

    timezone.now = lambda: datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


def main() -> None:
    """Runs a module as `python -m` would, on the other clock."""
    shift(float(sys.argv[1]))
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
