"""A pytest plugin: no test, and no end of a test or of the run, can hang for ever.

pytest-timeout interrupts a test that takes too long; pytest's faulthandler_timeout ends a process
that cannot be interrupted, which xdist tells as a failure. Both stand down as soon as a test has
failed, for a debugger: then whatever the failed test left running could hang its teardown, or the
end of the process. That time is bounded here.
"""

import faulthandler
import sys

import pytest

AFTER_FAILURE_S = 120.0
AT_THE_END_S = 60.0


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """The teardown that follows a failure has a limit of its own."""
    if not node.config.getoption("usepdb"):
        _end_in(AFTER_FAILURE_S)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Threads that a test left behind are waited for by the interpreter: not for long."""
    if not config.getoption("usepdb"):
        _end_in(AT_THE_END_S)


def _end_in(seconds: float) -> None:
    """All threads' stacks on the standard error and exit status 1, unless it ended by then."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or sys.stderr)
