"""No test waits for a child for ever."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
WAIT = {"subprocess.run", "subprocess.check_call", "subprocess.check_output"}


def unlimited(source: str) -> Iterator[int]:
    """The lines of calls that wait for a child without a limit."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in WAIT:
            named = {keyword.arg for keyword in node.keywords}
            if "timeout" not in named:
                yield node.lineno


def test_every_child_has_a_time_limit() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in TESTS.rglob("*.py")
        for line in unlimited(path.read_text("utf-8"))
    ]
    assert found == []


def test_a_child_without_one_is_found() -> None:
    assert list(unlimited("import subprocess\nsubprocess.run(['true'], check=True)")) == [2]
    assert list(unlimited("subprocess.run(['true'], timeout=5)")) == []
