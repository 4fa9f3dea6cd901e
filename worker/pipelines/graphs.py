"""CUDA graphs of denoiser calls that come often: one launch in place of thousands.

Follows torch's notes on CUDA graphs ("Whole-network capture", "Sharing memory across captures"):
warm up on a side stream, capture into a pool, replay on inputs copied into place. What is captured
is the call as it is, at the rows that it has: the same kernels, the same bits, no compiler and no
padding. All graphs share one pool and one stream, since they are replayed one after the other and
their answers are copied at once. Elsewhere than on CUDA the call is made as it is.
"""

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from worker.engine.request import ModelSource
from worker.engine.runner import CallWay
from worker.pipelines.denoising import Adapter, DenoiserInputs, Prediction
from worker.pipelines.loader import LoadedModel
from worker.pipelines.memory import is_out_of_memory, release_memory

logger = logging.getLogger(__name__)

HOT_CALLS: Final = 50
MOST_GRAPHS: Final = 32
MOST_COUNTED: Final = 1024  # sizes, rows and models come and go
_WARM_UPS: Final = 3
_TOLD_LETTERS: Final = 200

Make = Callable[[DenoiserInputs], Tensor]
_Key = tuple[ModelSource, Hashable]  # model, signature


@dataclass(frozen=True, slots=True)
class DenoiserCall:
    """A call that may be captured: `make` gives the answer [R, ...] to `inputs` of R rows and
    refers to nothing but the model's weights. Equal signatures mean equal shapes and code."""

    model: ModelSource
    signature: Hashable
    make: Make
    inputs: DenoiserInputs
    is_compiled: bool = False

    def answer(self) -> Tensor:
        """The call made now, op by op."""
        return self.make(self.inputs)


def call_of(
    adapter: Adapter, model: LoadedModel, signature: Hashable, inputs: DenoiserInputs
) -> DenoiserCall:
    """The call of `model`'s denoiser on `inputs`."""

    def make(given: DenoiserInputs) -> Tensor:
        return adapter.predict(model, given.latents, given.times, given.conditioning)

    return DenoiserCall(model.source, signature, make, inputs)


class Graphs:
    """The captured calls of all models on one device. Used by the engine thread alone."""

    def __init__(self, device: torch.device, *, hot_calls: int = HOT_CALLS) -> None:
        """`hot_calls`: how often a call comes before it is captured."""
        self._device = device
        self._hot_calls = hot_calls
        self.captures = 0  # in all
        self._is_on = device.type == "cuda"
        self._failure = ""
        self._calls: Counter[_Key] = Counter()
        self._graphs: OrderedDict[_Key, _Graph] = OrderedDict()
        self._pool: Any = None
        self._stream: Any = None
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of the pool: nobody else can have them while a graph is left."""
        return self._held_bytes

    def state(self) -> str:
        """One of off, ready and "failed: " with the reason. Any thread may ask."""
        if self._failure:
            return f"failed: {self._failure}"
        return "ready" if self._is_on else "off"

    def predict(self, call: DenoiserCall) -> Prediction:
        """The call's answer: from its graph if it has one. One that is hot gets one now."""
        key = (call.model, call.signature)
        graph = self._graphs.get(key)
        if graph is not None:
            self._graphs.move_to_end(key)
            return _prediction(call, graph.replay(call.inputs), way="graph")
        if self._is_hot(key) and self._capture(key, call):
            return _prediction(call, call.answer(), way=None)
        return _prediction(call, call.answer(), way="compiled" if call.is_compiled else "eager")

    def _is_hot(self, key: _Key) -> bool:
        if not self._is_on:
            return False
        if len(self._calls) > MOST_COUNTED:
            self._calls.clear()
        self._calls[key] += 1
        return self._calls[key] >= self._hot_calls

    def leave(self, model: ModelSource) -> None:
        """The model's weights are about to leave: its graphs read them where they lie now."""
        for key in [key for key in self._graphs if key[0] == model]:
            del self._graphs[key]
        for key in [key for key in self._calls if key[0] == model]:
            del self._calls[key]
        if not self._graphs:
            self.free()

    def free(self) -> bool:
        """Memory is short: let go of all graphs. False if there was none."""
        had_some = bool(self._graphs)
        self._graphs.clear()
        self._calls.clear()
        self._pool, self._held_bytes = None, 0
        return had_some

    def _capture(self, key: _Key, call: DenoiserCall) -> bool:
        """True when the call has a graph now; else it is made as it was before."""
        reserved = torch.cuda.memory_reserved(self._device)
        failure = self._try(key, call)
        if failure is None:
            self.captures += 1
            if len(self._graphs) > MOST_GRAPHS:
                self._graphs.popitem(last=False)
        elif is_out_of_memory(failure):
            logger.info("no room for a graph of %s", call.model.slug)
            self._calls[key] = 0  # there may be room later
            release_memory()
        else:
            self._turn_off(failure)
        self._held_bytes += max(0, torch.cuda.memory_reserved(self._device) - reserved)
        return failure is None

    def _try(self, key: _Key, call: DenoiserCall) -> RuntimeError | None:
        try:
            self._graphs[key] = self._graph_of(call)
        # A call that waits for the device or copies from the host cannot be captured.
        except RuntimeError as error:
            return error.with_traceback(None)  # which holds what must go
        return None

    def _graph_of(self, call: DenoiserCall) -> "_Graph":
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        if self._stream is None:  # one for all: cuBLAS keeps a workspace for each
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        return _Graph(call, pool=self._pool, stream=self._stream)

    def _turn_off(self, error: RuntimeError) -> None:
        self._is_on = False
        self._failure = f"{type(error).__name__}: {' '.join(str(error).split())[:_TOLD_LETTERS]}"
        logger.warning("denoiser calls are not captured as graphs: %s", self._failure)


def _prediction(call: DenoiserCall, answer: Tensor, *, way: CallWay | None) -> Prediction:
    return Prediction(answer, len(call.inputs.latents), compiled=call.is_compiled, way=way)


class _Graph:
    """One captured call, and the memory that its inputs and its answer lie in."""

    def __init__(self, call: DenoiserCall, *, pool: Any, stream: Any) -> None:
        self._inputs = call.inputs.copied()
        self._warm_up(call, stream)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads copy previews and may allocate: only this thread's calls are restricted.
        with torch.cuda.graph(
            self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"
        ):
            self._answer = call.make(self._inputs)

    def replay(self, inputs: DenoiserInputs) -> Tensor:
        """The answer to `inputs`, in memory of its own."""
        self._inputs.take(inputs)
        self._graph.replay()
        return self._answer.clone()

    def _warm_up(self, call: DenoiserCall, stream: Any) -> None:
        """Lazy initialisation must happen before the capture, and on the stream of the capture."""
        present = torch.cuda.current_stream()
        stream.wait_stream(present)
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                call.make(self._inputs)
        present.wait_stream(stream)
