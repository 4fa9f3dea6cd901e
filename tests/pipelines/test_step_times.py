"""Times of steps: what the device took, told late and never waited for.

There is no CUDA device here. A toy one goes on by itself as a real one does: it is told of a call
in `launch_s` of the host's time and takes what the call costs of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from worker.engine.capacity import RowCap
from worker.pipelines.step_times import MOST_AHEAD, DeviceClock, HostClock, StepClock, clock_for

Cost = Callable[[int], float]


class ToyDevice:
    """The host's clock, and when the device will have done what it was told so far."""

    def __init__(self, *, launch_s: float = 0.008, waits: bool = True) -> None:
        self.launch_s = launch_s
        self.waits = waits  # something in each step waits for all that was asked before
        self.now_s = 0.0
        self.free_s = 0.0

    def call(self, seconds: float) -> None:
        """The host tells the device of work that takes it so long."""
        if self.waits:
            self.now_s = max(self.now_s, self.free_s)
        self.now_s += self.launch_s
        self.free_s = max(self.free_s, self.now_s) + seconds

    def event(self) -> "ToyEvent":
        return ToyEvent(self)


@dataclass
class ToyEvent:
    device: ToyDevice
    at_s: float = 0.0

    def record(self) -> None:
        self.at_s = max(self.device.free_s, self.device.now_s)

    def query(self) -> bool:
        return self.device.now_s >= self.at_s

    def synchronize(self) -> None:
        self.device.now_s = max(self.device.now_s, self.at_s)

    def elapsed_time(self, end: "ToyEvent") -> float:
        return (end.at_s - self.at_s) * 1000


def cap_learned(device: ToyDevice, cost: Cost, *, calls: int = 400) -> int:
    """Where the row cap ends when as many rows wait as it allows."""
    cap, clock = RowCap(32), DeviceClock(device.event)
    for _ in range(calls):
        rows = cap.cap("shape")
        take_step(clock, rows, lambda rows=rows: device.call(cost(rows)))  # type: ignore[misc]
        for step in clock.times():
            cap.note(step.shape, rows=step.rows, seconds=step.seconds, way=step.way)
    return cap.cap("shape")


def take_step(clock: StepClock, rows: int, work: Callable[[], Any]) -> None:
    with clock.timing("shape", rows) as step:
        work()
        step.way = "eager"


def saturated(rows: int) -> float:
    """More rows never pay."""
    return 0.1 * rows


def gains_up_to_8(rows: int) -> float:
    return 0.04 * max(1.0, rows / 8)


@pytest.mark.parametrize("waits", [True, False])
def test_a_device_that_lags_is_learned_as_one_that_does_not(waits: bool) -> None:
    assert cap_learned(ToyDevice(waits=waits), saturated) <= 4
    assert cap_learned(ToyDevice(waits=waits), gains_up_to_8) in {8, 16}
    assert cap_learned(ToyDevice(waits=waits), lambda _rows: 0.04) == 32


def test_the_time_of_a_step_is_told_once_the_device_is_done_and_only_once() -> None:
    device = ToyDevice(waits=False)
    clock = DeviceClock(device.event)
    take_step(clock, 2, lambda: device.call(1.0))
    assert clock.times() == []
    device.now_s = 5.0
    (told,) = clock.times()
    assert (told.shape, told.rows, told.way) == ("shape", 2, "eager")
    assert told.seconds == pytest.approx(1.008)
    assert clock.times() == []


@pytest.mark.parametrize("clock", [HostClock(), DeviceClock(ToyDevice().event)])
def test_a_step_that_did_more_than_to_draw_has_no_time(clock: StepClock) -> None:
    with clock.timing("shape", 2):
        pass
    assert clock.times() == []


@pytest.mark.parametrize("clock", [HostClock(), DeviceClock(ToyDevice().event)])
def test_a_step_that_fails_has_no_time(clock: StepClock) -> None:
    def fail() -> None:
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        take_step(clock, 2, fail)
    assert clock.times() == []


def test_the_host_runs_no_more_than_two_steps_ahead_and_never_lets_the_device_wait() -> None:
    device = ToyDevice(waits=False)
    clock = DeviceClock(device.event)
    for _ in range(50):
        take_step(clock, 2, lambda: device.call(1.0))
        assert device.free_s - device.now_s <= MOST_AHEAD + 0.1
    assert device.free_s == pytest.approx(50 * 1.0, abs=0.1)
    assert len(clock.times()) == 48


def test_the_hosts_clock_serves_a_device_that_is_done_when_the_call_returns() -> None:
    clock = clock_for(torch.device("cpu"))
    take_step(clock, 2, lambda: None)
    (told,) = clock.times()
    assert 0 <= told.seconds < 1


def test_a_cuda_device_is_timed_by_its_own_events() -> None:
    assert isinstance(clock_for(torch.device("cuda")), DeviceClock)
    assert isinstance(clock_for(torch.device("mps")), DeviceClock)
