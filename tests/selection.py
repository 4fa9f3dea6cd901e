"""A pytest plugin: which gate a test stands in, and with how many examples.

`make test` (--gate fast) is every push's, `make test-slow` (--gate slow) the night's; without
`--gate` everything that is named runs. A test is slow with a reason: `@pytest.mark.slow("why")`, or
by its room, below. `@pytest.mark.slow("why", unless_changed="worker")` puts it into the fast gate
too if something below that folder, or a pinned version, is not what it was. What tries examples
stands in both gates, and tries fewer on a push.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

PROJECT = Path(__file__).resolve().parent.parent
SLOW_ROOMS = {
    "tests/faults": "real studios are started and killed",
    "tests/bench_engine": "the bench of the engine measures itself",
    "tests/bench_service": "the bench is no part of the product",
    "tests/training": "trains a model",
}
# The order keeps together what shares something expensive: torch, the database, a browser.
FIRST = ("tests/pipelines", "tests/pretend_cuda", "tests/worker", "tests/engine", "tests/finishing")
LAST = ("tests/browser",)
PINS = "constraints.txt"
GIT_S = 30.0
CHANGED = "TESTS_CHANGED"  # one answer for the controller and its workers

FAST_EXAMPLES, ALL_EXAMPLES = 20, 100
settings.register_profile(
    "fast",
    max_examples=FAST_EXAMPLES,
    deadline=None,  # a busy machine is no fault
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[phase for phase in Phase if phase is not Phase.reuse],
)
settings.register_profile(
    "all",
    settings.get_profile("fast"),
    max_examples=ALL_EXAMPLES,
    derandomize=False,
)


def examples(full: int) -> int:
    """As many examples as this run's gate wants of a test that has `full` of them."""
    current = settings.get_current_profile_name()
    return max(1, full * FAST_EXAMPLES // ALL_EXAMPLES) if current == "fast" else full


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the choice of a gate, and a file for the counts of the closing line."""
    parser.addoption("--gate", choices=["fast", "slow", "all"], default="all")
    parser.addoption("--tally", help="write the counts of this run, as JSON, to this file")


def pytest_configure(config: pytest.Config) -> None:
    """Chooses the profile before any test module is read."""
    settings.load_profile("fast" if config.getoption("gate") == "fast" else "all")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the tests of the gate; what all of them can share, one after the other."""
    gates = {
        item: gates_of(item.nodeid, item.iter_markers("slow"), tries_examples=_tries_examples(item))
        for item in items
    }
    chosen = config.getoption("gate")
    left = [item for item in items if chosen != "all" and chosen not in gates[item]]
    if left:
        config.hook.pytest_deselected(items=left)
    unwanted = set(left)
    items[:] = sorted((item for item in items if item not in unwanted), key=_place)


def gates_of(
    nodeid: str, slow_marks: Iterable[pytest.Mark], *, tries_examples: bool = False
) -> frozenset[str]:
    """The gates of a test: never none. Raises UsageError for a `slow` without its reason."""
    marks = list(slow_marks)
    if any(len(mark.args) != 1 or not str(mark.args[0]).strip() for mark in marks):
        raise pytest.UsageError(f"{nodeid}: say why it is slow, as in slow('trains a model')")
    if any(nodeid.startswith(f"{room}/") for room in SLOW_ROOMS):
        return frozenset({"slow"})
    if not marks:
        return frozenset({"fast", "slow"} if tries_examples else {"fast"})
    folders = [mark.kwargs.get("unless_changed") for mark in marks]
    changed = all(folder and has_changed(folder) for folder in folders)
    return frozenset({"fast", "slow"} if changed else {"slow"})


def has_changed(folder: str) -> bool:
    """Whether anything below the folder differs from what was pushed before; in doubt, yes."""
    if CHANGED not in os.environ:
        os.environ[CHANGED] = json.dumps(_changed_files())
    changed = json.loads(os.environ[CHANGED])
    return changed is None or any(name == PINS or name.startswith(f"{folder}/") for name in changed)


def _changed_files() -> list[str] | None:
    """Against where this branch left main, or the commit before on main itself; None if git
    cannot tell, as in a clone of one commit."""
    base = _git("merge-base", "HEAD", "origin/main") or _git("merge-base", "HEAD", "main")
    if base in {None, _git("rev-parse", "HEAD")}:
        base = _git("rev-parse", "--verify", "--quiet", "HEAD~1")
    if base is None:
        return None
    committed = _git("diff", "--name-only", base)
    new = _git("ls-files", "--others", "--exclude-standard")
    return None if committed is None or new is None else [*committed.split(), *new.split()]


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=GIT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _tries_examples(item: pytest.Item) -> bool:
    if item.get_closest_marker("fewer_on_a_push"):
        return True
    return bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False))


def _place(item: pytest.Item) -> int:
    if item.nodeid.startswith(FIRST):
        return 0
    return 2 if item.nodeid.startswith(LAST) else 1


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """No loop of a browser runs beside a test that drives none."""
    if item.get_closest_marker("browser") is None:
        _close_browser()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    """The browser ends before what it looks at."""
    _close_browser()


def _close_browser() -> None:
    if module := sys.modules.get("tests.browser.chromium"):
        module.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Writes how many tests ended how, for the closing line of several runs."""
    config = terminalreporter.config
    if path := config.getoption("tally"):
        counts = {
            kind: len([one for one in reports if getattr(one, "count_towards_summary", True)])
            for kind, reports in terminalreporter.stats.items()
            if kind
        }
        Path(path).write_text(json.dumps(counts), encoding="utf-8")
