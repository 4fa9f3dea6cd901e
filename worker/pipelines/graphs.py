"""CUDA graphs of denoiser calls that come often: one launch in place of thousands.

Follows torch's notes on CUDA graphs ("Whole-network capture", "Sharing memory across captures"):
warm up on a side stream, capture into a pool, replay on inputs copied into place. Elsewhere than
on CUDA the call is made as it is.
"""

import logging
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Final

import torch
from torch import Tensor

from worker.pipelines.denoising import DenoiserInputs

logger = logging.getLogger(__name__)

HOT_CALLS: Final = 50
MOST_GRAPHS: Final = 8
_WARM_UPS: Final = 3

Call = Callable[[DenoiserInputs], Tensor]


class GraphedCalls:
    """The captured calls of one model. Used by the engine thread alone."""

    def __init__(self, device: torch.device) -> None:
        self._is_off = device.type != "cuda"
        self._calls: Counter[Hashable] = Counter()
        self._graphs: dict[Hashable, _Graph] = {}

    def call(
        self, signature: Hashable, call: Call, inputs: DenoiserInputs, *, may_capture: bool
    ) -> Tensor:
        """`call(inputs)`, from a graph where `signature` is hot.

        Equal signatures mean equal shapes. Captures only where it `may_capture`: nothing else
        may use the device meanwhile.
        """
        graph = self._graphs.get(signature)
        if graph is not None:
            return graph.replay(inputs)
        self._calls[signature] += 1
        if may_capture and self._is_due(signature):
            self._capture(signature, call, inputs)
        return call(inputs)

    def forget(self) -> None:
        """Let go of all graphs: they read the weights where these lay at the capture."""
        self._graphs.clear()
        self._calls.clear()

    def _is_due(self, signature: Hashable) -> bool:
        has_room = len(self._graphs) < MOST_GRAPHS
        return not self._is_off and has_room and self._calls[signature] >= HOT_CALLS

    def _capture(self, signature: Hashable, call: Call, inputs: DenoiserInputs) -> None:
        try:
            self._graphs[signature] = _Graph(call, inputs)
        # A call that waits for the device or copies from the host cannot be captured; nor can one
        # whose own memory there is no room for. It is made as it was before.
        except RuntimeError as error:
            self._is_off = True
            logger.warning("no CUDA graph: %s", error)


class _Graph:
    def __init__(self, call: Call, inputs: DenoiserInputs) -> None:
        conditioning = {name: tensor.clone() for name, tensor in inputs.conditioning.items()}
        self._inputs = DenoiserInputs(inputs.latents.clone(), inputs.times.clone(), conditioning)
        self._warm_up(call)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads copy previews and may allocate: only this thread's calls are restricted.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._answer = call(self._inputs)

    def replay(self, inputs: DenoiserInputs) -> Tensor:
        """The answer to `inputs`, in memory of its own."""
        self._inputs.latents.copy_(inputs.latents)
        self._inputs.times.copy_(inputs.times)
        for name, tensor in inputs.conditioning.items():
            self._inputs.conditioning[name].copy_(tensor)
        self._graph.replay()
        return self._answer.clone()

    def _warm_up(self, call: Call) -> None:
        """Lazy initialisation must happen before the capture, and on another stream."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                call(self._inputs)
        torch.cuda.current_stream().wait_stream(side)
