"""Each test has a var folder of its own, and no supervisor outlives its test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.embedded.harness import Running, tiny_stack


@pytest.fixture
def var(tmp_path: Path) -> Path:
    return tmp_path / "var"


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Start `command`, and end it after the test."""
    running: list[Running] = []

    def start_command(command: list[str], env: dict[str, str] | None = None) -> Running:
        running.append(Running(command, env))
        return running[-1]

    yield start_command
    for process in running:
        process.end()


@pytest.fixture
def start_tiny(start: Callable[..., Running], var: Path) -> Callable[..., Running]:
    """Start the tiny stack with a scenario, and return once all of it is up."""

    def start_scenario(*scenario: str) -> Running:
        running = start(tiny_stack(var, *scenario))
        running.wait_for("all are up")
        return running

    return start_scenario
