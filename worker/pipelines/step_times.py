"""How long the device works at each step, and how far the host may run ahead of it.

A CUDA or Apple device is told what to do and goes on by itself: the clock of the host says when
it was told, not when it was done. So an event is put before and behind each step, and both are
read once the device has passed them, which is a step or two later (torch's notes on CUDA semantics,
"Asynchronous execution").

Where nothing else makes the host wait it would tell the device of whole images at once: who is
cancelled, who comes in and what is shown would be decided long before it is drawn. So it waits for
the step before the last one: the device always has one step to go on with.
"""

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import torch

from worker.engine.runner import CallTime, CallWay

MOST_AHEAD: Final = 2  # steps that the device was told of and is not done with


@dataclass(slots=True)
class TimedStep:
    """One step: whoever takes it says how the call was made, or None if its time means
    nothing."""

    way: CallWay | None = None


class StepClock(Protocol):
    """Tells the seconds of each step that is over, once."""

    @contextmanager
    def timing(self, shape: Hashable, rows: int) -> Iterator[TimedStep]:
        """Time the step taken inside, once the host may take it; one that raises has no time."""
        ...

    def times(self) -> list[CallTime]:
        """Of the steps that are over and were not told yet, in their order."""
        ...


class HostClock:
    """A `StepClock` for devices that are done when the call returns."""

    def __init__(self) -> None:
        self._times: list[CallTime] = []

    @contextmanager
    def timing(self, shape: Hashable, rows: int) -> Iterator[TimedStep]:
        step, began_s = TimedStep(), time.monotonic()
        yield step
        if step.way is not None:
            self._times.append(CallTime(shape, rows, time.monotonic() - began_s, step.way))

    def times(self) -> list[CallTime]:
        times, self._times = self._times, []
        return times


class DeviceClock:
    """A `StepClock` for devices that go on by themselves. `make_event`: a new event that keeps its
    time."""

    def __init__(self, make_event: Callable[[], Any]) -> None:
        self._make_event = make_event
        self._times: list[CallTime] = []
        self._pending: deque[_Pending] = deque()

    @contextmanager
    def timing(self, shape: Hashable, rows: int) -> Iterator[TimedStep]:
        self._collect()
        while len(self._pending) >= MOST_AHEAD:
            self._pending[0].ended.synchronize()
            self._collect()
        step, began = TimedStep(), self._record()
        yield step
        self._pending.append(_Pending(shape, rows, step.way, began, self._record()))

    def times(self) -> list[CallTime]:
        self._collect()
        times, self._times = self._times, []
        return times

    def _collect(self) -> None:
        while self._pending and self._pending[0].ended.query():
            step = self._pending.popleft()
            if step.way is not None:
                seconds = step.began.elapsed_time(step.ended) / 1000  # events count milliseconds
                self._times.append(CallTime(step.shape, step.rows, seconds, step.way))

    def _record(self) -> Any:
        event = self._make_event()
        event.record()
        return event


@dataclass(frozen=True, slots=True)
class _Pending:
    shape: Hashable
    rows: int
    way: CallWay | None
    began: Any
    ended: Any


def clock_for(device: torch.device) -> StepClock:
    """The clock that tells the truth of `device`."""
    if device.type == "cuda":
        # Blocking: whoever waits for it sleeps.
        return DeviceClock(lambda: torch.cuda.Event(enable_timing=True, blocking=True))  # type: ignore[no-untyped-call]
    if device.type == "mps":
        return DeviceClock(lambda: torch.mps.event.Event(enable_timing=True))
    return HostClock()
