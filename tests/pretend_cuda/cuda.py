"""What `torch.cuda` answers while the pretend device is there; plain attributes to be set."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch

from tests.pretend_cuda.tensors import shares_memory, tensors_in

_GB = 1 << 30
Call = tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any], Any]


@dataclass(slots=True)
class Recorder:
    """What was asked of the device while a graph was captured."""

    calls: list[Call] = field(default_factory=list)

    def note(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], answer: Any) -> None:
        """Keep one call and the memory that its answer lies in."""
        self.calls.append((func, args, kwargs, answer))

    def replay(self) -> None:
        """Do everything again on what the inputs hold now, into the same memory."""
        for func, args, kwargs, answer in self.calls:
            again = func(*args, **kwargs)
            given = tensors_in((args, kwargs))
            for old, new in zip(tensors_in(answer), tensors_in(again), strict=True):
                if not any(shares_memory(old, each) for each in given):  # no view of an input
                    old.copy_(new)


@dataclass(slots=True)
class CudaState:
    """The device's answers. Bytes: `total`, `free`, `allocated`, `peak`, `reserved`. `clock_ms` is
    what an event records; `is_event_done` what it answers when asked.

    `arriving`: copies to page-locked memory under way; they are there once an event recorded
    after them, a stream or the device was waited for. `recorder`: of the graph being captured.
    """

    wait: Callable[[str], None]
    name: str = "Pretend GPU"
    capability: tuple[int, int] = (8, 9)
    total: int = 24 * _GB
    free: int = 12 * _GB
    allocated: int = 0
    peak: int = 0
    reserved: int = 0
    clock_ms: float = 0.0
    is_event_done: bool = True
    arriving: list[Callable[[], object]] = field(default_factory=list)
    recorder: Recorder | None = None

    def arrive(self) -> None:
        """All copies under way end."""
        while self.arriving:
            self.arriving.pop(0)()

    def synchronize(self, *_device: Any) -> None:
        """Wait for the whole device."""
        self.wait("synchronize")
        self.arrive()


def _event_class(state: CudaState) -> type:
    class Event:
        def __init__(self, **options: Any) -> None:
            self.options = options
            self.recorded_ms = 0.0

        def record(self, _stream: object = None) -> None:
            self.recorded_ms = state.clock_ms

        def synchronize(self) -> None:
            state.wait("event")
            state.arrive()

        def wait(self, _stream: object = None) -> None:
            """Another stream waits, the host does not."""

        def query(self) -> bool:
            if state.is_event_done:
                state.arrive()
            return state.is_event_done

        def elapsed_time(self, later: "Event") -> float:
            return later.recorded_ms - self.recorded_ms

    return Event


def _stream_class(state: CudaState, event_class: type) -> type:
    class Stream:
        def __init__(self, *_device: Any, **_options: Any) -> None:
            pass

        def wait_stream(self, _other: object) -> None:
            """Work is done as it is asked for: in order."""

        def wait_event(self, _event: object) -> None:
            """As `wait_stream`."""

        def record_event(self, event: Any = None) -> Any:
            made: Any = event if event is not None else event_class()
            made.record(self)
            return made

        def synchronize(self) -> None:
            state.synchronize()

    return Stream


class Graph:
    """A captured call with true values: `replay` computes it again in the same memory."""

    def __init__(self, **_options: Any) -> None:
        self.recorder = Recorder()

    def replay(self) -> None:
        """See `Recorder.replay`."""
        self.recorder.replay()

    def reset(self) -> None:
        """Let go of the memory."""
        self.recorder = Recorder()

    def pool(self) -> tuple[int, int]:
        """A name for where its memory lies."""
        return (0, id(self))


def _answers(state: CudaState) -> dict[str, Any]:
    """Name in `torch.cuda` -> what stands there meanwhile."""
    properties = SimpleNamespace(
        name=state.name, major=state.capability[0], minor=state.capability[1]
    )
    event = _event_class(state)
    stream = _stream_class(state, event)
    current = stream()

    @contextmanager
    def capture(graph: Graph, **_options: Any) -> Iterator[None]:
        state.recorder = graph.recorder
        try:
            yield
        finally:
            state.recorder = None

    @contextmanager
    def nothing(*_args: Any, **_options: Any) -> Iterator[None]:
        yield

    def forget_peak(*_device: Any) -> None:
        state.peak = state.allocated

    def of(name: str) -> Callable[..., Any]:
        return lambda *_device: getattr(state, name)

    def whole(*_device: Any) -> SimpleNamespace:
        return SimpleNamespace(**vars(properties), total_memory=state.total)

    return {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda _device: None,
        "device": nothing,
        "get_device_name": of("name"),
        "get_device_capability": of("capability"),
        "get_device_properties": whole,
        "mem_get_info": lambda *_device: (state.free, state.total),
        "memory_allocated": of("allocated"),
        "max_memory_allocated": of("peak"),
        "memory_reserved": of("reserved"),
        "memory_stats": lambda *_device: {
            "allocated_bytes.all.current": state.allocated,
            "allocated_bytes.all.peak": state.peak,
            "reserved_bytes.all.current": state.reserved,
        },
        "reset_peak_memory_stats": forget_peak,
        "empty_cache": lambda: None,
        "synchronize": state.synchronize,
        "is_current_stream_capturing": lambda: state.recorder is not None,
        "Event": event,
        "Stream": stream,
        "stream": nothing,
        "current_stream": lambda *_device: current,
        "default_stream": lambda *_device: current,
        "CUDAGraph": Graph,
        "graph": capture,
        "graph_pool_handle": lambda: (0, 0),
    }


@contextmanager
def patched_cuda(state: CudaState) -> Iterator[None]:
    """While inside, `torch.cuda` answers for the pretend device."""
    with ExitStack() as stack:
        for name, answer in _answers(state).items():
            stack.enter_context(patch.object(torch.cuda, name, answer))
        yield
