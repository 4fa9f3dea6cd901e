"""What is stopped half way takes away what it had written."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

STOPPED = 128 + signal.SIGTERM


@contextmanager
def undone_when_stopped() -> Iterator[None]:
    """SIGTERM raises SystemExit inside, so that what has to be undone is. For commands, whose
    main thread this is."""
    before = signal.signal(signal.SIGTERM, lambda *_words: sys.exit(STOPPED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
