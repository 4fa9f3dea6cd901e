"""No test is in no gate, and who makes one slow says why."""

import json
from collections import Counter

import pytest

from tests import selection
from tests.run import closing_line
from tests.selection import gates_of

SLOW = pytest.mark.slow("trains a model").mark
UNLESS = pytest.mark.slow("all samplers", unless_changed="worker").mark


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv(selection.CHANGED, json.dumps(["webapp/urls.py"]))
    return monkeypatch


def test_a_test_is_fast_unless_something_is_said() -> None:
    assert gates_of("tests/core/test_x.py::test_y", []) == {"fast"}


def test_a_slow_test_stands_in_the_slow_gate(changed: pytest.MonkeyPatch) -> None:
    assert gates_of("tests/core/test_x.py::test_y", [SLOW]) == {"slow"}
    assert gates_of("tests/core/test_x.py::test_y", [UNLESS]) == {"slow"}


def test_a_room_can_be_slow() -> None:
    assert gates_of("tests/faults/test_x.py::test_y", []) == {"slow"}


def test_what_tries_examples_tries_more_in_the_slow_gate() -> None:
    found = gates_of("tests/core/test_x.py::test_y", [], tries_examples=True)
    assert found == {"fast", "slow"}


@pytest.mark.parametrize("file", ["worker/tasks.py", "constraints.txt"])
def test_what_may_have_broken_it_brings_a_slow_test_into_both(
    changed: pytest.MonkeyPatch, file: str
) -> None:
    changed.setenv(selection.CHANGED, json.dumps([file]))
    assert gates_of("tests/core/test_x.py::test_y", [UNLESS]) == {"fast", "slow"}
    assert gates_of("tests/core/test_x.py::test_y", [UNLESS, SLOW]) == {"slow"}


def test_in_doubt_it_may_have_changed(changed: pytest.MonkeyPatch) -> None:
    changed.setenv(selection.CHANGED, "null")
    assert gates_of("tests/core/test_x.py::test_y", [UNLESS]) == {"fast", "slow"}


@pytest.mark.parametrize("mark", [pytest.mark.slow, pytest.mark.slow(" ")])
def test_slow_takes_a_reason(mark: pytest.MarkDecorator) -> None:
    with pytest.raises(pytest.UsageError, match="say why it is slow"):
        gates_of("tests/core/test_x.py::test_y", [mark.mark])


def test_every_test_of_this_run_stands_in_a_gate(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        assert gates_of(item.nodeid, item.iter_markers("slow"))


def test_the_closing_line_counts_as_pytest_does() -> None:
    counts = Counter({"passed": 3432, "failed": 3, "skipped": 2, "error": 1, "xfailed": 0})
    line = closing_line(counts, 800.123)
    assert line == "3 failed, 3432 passed, 2 skipped, 1 error in 800.12s (0:13:20)"
    assert closing_line(Counter(), 1.0) == "no tests ran in 1.00s (0:00:01)"
