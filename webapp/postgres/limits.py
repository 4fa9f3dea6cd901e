"""For how long an answer of PostgreSQL is waited for.

The client has to keep the time: a server that hangs keeps none, and a socket that nothing comes
from looks like one whose answer takes long. A connection whose answer was given up is closed; the
server sees that and stops working on it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

WEB_S = 4.0
HEALTH_S = 1.5
LONG_S = 60.0  # an administrator's work on much at once
WORKER_S = 60.0
CHECK_S = 3600.0  # the check of the ledger reads everything

_process_s: float | None = None
_here_s: ContextVar[float | None] = ContextVar("answers_within", default=None)


def limit_answers(seconds: float) -> None:
    """From now on, the limit of this process: web pages and workers each have theirs. Without one
    (management commands, migrations) an answer is waited for as long as the connection lives."""
    global _process_s
    _process_s = seconds


@contextmanager
def answers_within(seconds: float) -> Iterator[None]:
    """Another limit than the process's, for each statement inside of the block."""
    token = _here_s.set(seconds)
    try:
        yield
    finally:
        _here_s.reset(token)


def answer_limit_s() -> float | None:
    """The seconds that a statement may take here; None for any."""
    here_s = _here_s.get()
    return _process_s if here_s is None else here_s
