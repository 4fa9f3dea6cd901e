"""Stopping a process and its children for a while."""

import contextlib
import os
import signal
from collections.abc import Collection, Iterator
from pathlib import Path


@contextlib.contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """The process and its children; new ones cannot come. A child that was about to end anyway is
    gone as soon as its parent goes on."""
    send([pid], signal.SIGSTOP)
    pids = [pid, *children_of(pid)]
    send(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        send(pids, signal.SIGCONT)


def send(pids: Collection[int], number: signal.Signals) -> None:
    """Signals each of them that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def children_of(pid: int) -> list[int]:
    """The pids of its children."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in listed.split()]
