"""Services start, are seen, crash and come back, and stop."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.embedded.harness import Running, processes_of, recorded_pid, tiny_stack, wait_until
from tests.embedded.tiny_stack import STOP_TIMEOUT_S

StartTiny = Callable[..., Running]


def test_a_service_speaks_under_its_name_and_into_its_log(start_tiny: StartTiny, var: Path) -> None:
    start_tiny("first").wait_for("first    | hello from first\n")

    assert (var / "logs" / "first.log").read_text() == "hello from first\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_and_exits_with_0(
    start_tiny: StartTiny, var: Path, number: signal.Signals
) -> None:
    running = start_tiny("first", "second")
    running.wait_for("hello from second")
    assert len(processes_of(var)) == 3

    running.send(number)

    assert running.exit_code() == 0
    assert processes_of(var) == []
    assert not (var / "run-state.json").exists()


def test_services_stop_in_reverse_order(start_tiny: StartTiny, var: Path) -> None:
    running = start_tiny("first", "stubborn", "second")
    running.wait_for("no way")
    second = recorded_pid(var, "second")

    running.send(signal.SIGTERM)

    wait_until(lambda: second not in processes_of(var))
    assert {recorded_pid(var, "first"), recorded_pid(var, "stubborn")} < set(processes_of(var))
    running.send(signal.SIGTERM)
    assert running.exit_code() == 0


def test_a_second_ctrl_c_does_not_wait(start_tiny: StartTiny, var: Path) -> None:
    running = start_tiny("stubborn")
    running.wait_for("no way")
    running.send(signal.SIGINT)
    running.wait_for("Ctrl-C again")
    asked = time.monotonic()

    running.send(signal.SIGINT)

    assert running.exit_code() == 0
    assert time.monotonic() - asked < STOP_TIMEOUT_S / 2
    assert processes_of(var) == []


def test_a_stopped_app_takes_its_helpers_along(start_tiny: StartTiny, var: Path) -> None:
    running = start_tiny("helped")
    wait_until(lambda: len(processes_of(var)) == 3)

    running.send(signal.SIGTERM)

    assert running.exit_code() == 0
    assert processes_of(var) == []


def test_a_crashed_app_comes_back_after_a_growing_wait(start_tiny: StartTiny) -> None:
    output = start_tiny("crasher").wait_for("attempt 3")

    assert "crasher ended unexpectedly with exit code 3; starting it again in 0.5 s" in output
    assert "crasher ended unexpectedly with exit code 3; starting it again in 1 s" in output


def test_a_killed_app_comes_back(start_tiny: StartTiny, var: Path) -> None:
    running = start_tiny("first")
    running.wait_for("hello from first")
    killed = recorded_pid(var, "first")

    os.kill(killed, signal.SIGKILL)

    running.wait_for("first ended unexpectedly with signal 9; starting it again in 0.5 s")
    wait_until(lambda: running.output.count("hello from first") == 2)
    assert recorded_pid(var, "first") != killed


def test_an_app_that_hangs_is_killed_and_comes_back(start_tiny: StartTiny, var: Path) -> None:
    running = start_tiny("hanging")
    running.wait_for("hanging ended unexpectedly with signal 9; starting it again in 0.5 s")
    assert "hanging is killed: it says nothing" in running.output
    wait_until(lambda: running.output.count("hello from hanging") == 2)
    time.sleep(1)  # it is asked a few times more, and is well
    assert running.output.count("is killed") == 1


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ("broken", "broken ended before it was ready, with exit code 1."),
        ("slow", "slow was not ready in time."),
        ("failing-step", "failing-step failed (exit code 1)"),
    ],
)
def test_a_start_that_fails_stops_all_and_says_why(
    start: Callable[..., Running], var: Path, step: str, sentence: str
) -> None:
    running = start(tiny_stack(var, "first", step))

    assert running.exit_code() == 1
    assert sentence in running.output
    assert processes_of(var) == []


def test_the_end_of_the_log_of_a_failed_service_is_shown(
    start: Callable[..., Running], var: Path
) -> None:
    running = start(tiny_stack(var, "broken"))

    assert running.exit_code() == 1
    assert running.output.rstrip().endswith("broken.log:\ncannot import name")


def test_a_second_supervisor_is_told_which_process_runs(
    start_tiny: StartTiny, start: Callable[..., Running], var: Path
) -> None:
    first = start_tiny("first")

    second = start(tiny_stack(var, "second"))

    assert second.exit_code() == 1
    assert f"Darkroom already runs in {var} as process {first.pid}" in second.output
    assert "hello from second" not in second.output
