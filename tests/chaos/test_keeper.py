"""What the harness starts is kept running, and ended with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.keeper import Keeper, signal_tree, tree
from tests.trial import PROJECT
from webapp.embedded.process import Service

SLEEPER = Service(name="sleeper", argv=("sleep", "600"))
PATIENCE_S = 20.0


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    kept = Keeper(tmp_path)
    yield kept
    kept.stop()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_what_was_killed_is_started_again_and_what_is_stopped_is_not(keeper: Keeper) -> None:
    keeper.run(SLEEPER)
    wait_until(lambda: keeper.pid("sleeper"))
    first = keeper.pid("sleeper")
    assert first
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: keeper.pid("sleeper") not in (None, first))
    second = keeper.pid("sleeper")
    assert second
    keeper.stop()
    assert not is_alive(second)


def test_another_service_of_the_name_takes_the_place_of_the_first(keeper: Keeper) -> None:
    keeper.run(SLEEPER)
    wait_until(lambda: keeper.pid("sleeper"))
    first = keeper.pid("sleeper")
    assert first
    keeper.run(Service(name="sleeper", argv=("sleep", "601")))
    wait_until(lambda: keeper.pid("sleeper") not in (None, first))
    assert not is_alive(first)


def test_a_process_is_stopped_with_everything_below_it(keeper: Keeper) -> None:
    keeper.run(Service(name="sleeper", argv=("sh", "-c", "setsid sleep 600; true")))
    wait_until(lambda: len(tree(keeper.pid("sleeper") or 0)) == 2)
    pid = keeper.pid("sleeper")
    assert pid
    stopped = signal_tree(pid, signal.SIGSTOP)
    assert len(stopped) == 2
    for one in stopped:
        wait_until(lambda one=one: " T " in Path(f"/proc/{one}/stat").read_text())  # type: ignore[misc]
    signal_tree(pid, signal.SIGKILL)


def test_a_harness_that_is_killed_takes_everything_along(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.chaos.test_keeper import *\n"
        "kept = Keeper(Path(sys.argv[1])); kept.run(SLEEPER)\n"
        "while not kept.pid('sleeper'): time.sleep(0.02)\n"
        "print(kept.pid('sleeper'), flush=True); time.sleep(600)"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as harness:
        assert harness.stdout
        pid = int(harness.stdout.readline())
        assert is_alive(pid)
        harness.kill()
    wait_until(lambda: not is_alive(pid))
