"""Many threads, each with a connection of its own, that act at the same moment."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from django.db import connection

from webapp.core.errors import DarkroomError
from webapp.operations.audit import find_violations

THREADS = 16
START_WITHIN_S = 30


def race(acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each act returned, or the error of ours that it raised, in their order.

    Anything else that an act raises, a deadlock for one, is raised here.
    """
    start = Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        try:
            connection.ensure_connection()
            start.wait(START_WITHIN_S)
            return act()
        except DarkroomError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def won(outcomes: Iterable[Any]) -> int:
    """How many did what they came for."""
    return sum(bool(one) and not isinstance(one, DarkroomError) for one in outcomes)


def assert_clean_books(*, but: str = "") -> None:
    """Every invariant holds, `but` one: tests of the ledger alone hold for images of nobody."""
    found = [violation for violation in find_violations(files=False) if violation.code != but]
    assert [violation.sentence for violation in found] == []
