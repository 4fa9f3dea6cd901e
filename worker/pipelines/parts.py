"""Parts of a model that take turns on the device: text encoders wait beside it while it steps.

They are needed to read a prompt only, and what they said is kept (`PromptCache`). A part comes
from page-locked memory, which keeps its copy, so that leaving costs nothing. If the device has no
room for an encoder beside the denoiser, the denoiser waits for as long.

The weights are the same numbers wherever they waited: an image's bits do not change.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from worker.pipelines.host_copy import HostCopy
from worker.pipelines.memory import is_out_of_memory, release_memory
from worker.pipelines.sizes import DENOISERS, is_encoder

logger = logging.getLogger(__name__)


class Part:
    """One component. Its weights wait in the machine's memory until it comes."""

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        """Raises what the allocator raises."""
        self.module = module
        self.is_here = False
        self._device = device
        self._copy: HostCopy | None = HostCopy(list(self._weights()))
        self._copy.settle()

    @property
    def nbytes(self) -> int:
        """Bytes of its weights."""
        return sum(tensor.nbytes for tensor in self._weights())

    def come(self) -> None:
        """Raises what the allocator raises; the part waits on then."""
        self.is_here = True
        try:
            for tensor in self._weights():
                tensor.data = tensor.data.to(self._device, non_blocking=True)
        except (RuntimeError, MemoryError):
            self.leave()
            raise

    def leave(self) -> None:
        """Wait beside the device. Only adapters are moved: the part's own weights never change."""
        self.is_here = False
        if self._copy is None:
            return
        self._copy.settle()
        for tensor in self._weights():
            if not self._copy.covers(tensor):
                tensor.data = tensor.data.to("cpu")

    def drop(self) -> None:
        """Let go of the copy, too: the model leaves memory."""
        self._copy = None

    def _weights(self) -> Iterator[Tensor]:
        yield from self.module.parameters()
        yield from self.module.buffers()


class Parts:
    """The parts of one model within `room` bytes of the device. Used by the engine's thread."""

    def __init__(self, pipeline: Any, device: torch.device, room: int) -> None:
        """The pipeline's weights are in the machine's memory. Raises what the allocator raises."""
        self.room = room
        # Told before the denoiser leaves: captured graphs read its weights where they lie.
        self.on_leave: Callable[[], None] = lambda: None
        modules = {
            name: module
            for name, module in pipeline.components.items()
            if isinstance(module, nn.Module)
        }
        encoders = [name for name in modules if is_encoder(name)]
        (self.denoiser_name,) = [name for name in modules if name in DENOISERS]
        self.names = frozenset({*encoders, self.denoiser_name})
        self._encoders = [Part(modules[name], device) for name in encoders]
        self._denoiser = Part(modules[self.denoiser_name], device)
        for encoder in self._encoders:
            encoder.module.register_forward_pre_hook(self._coming(encoder))

    def ready_to_step(self) -> None:
        """The denoiser is on the device, and no encoder. Raises what the allocator raises."""
        for encoder in self._encoders:
            if encoder.is_here:
                encoder.leave()
        if not self._denoiser.is_here:
            self._bring(self._denoiser)

    def make_way(self) -> bool:
        """Everything waits beside the device, until it is needed; False if nothing was there."""
        here = [part for part in (*self._encoders, self._denoiser) if part.is_here]
        for part in here:
            self._let_leave(part)
        return bool(here)

    def drop(self) -> None:
        """The model leaves memory."""
        for part in (*self._encoders, self._denoiser):
            part.drop()

    def _coming(self, encoder: Part) -> Callable[[nn.Module, Any], None]:
        def come(_module: nn.Module, _inputs: Any) -> None:
            if not encoder.is_here:
                self._bring(encoder)

        return come

    def _bring(self, wanted: Part) -> None:
        for part in (*self._encoders, self._denoiser):
            if part.is_here and self._here_bytes() + wanted.nbytes > self.room:
                self._let_leave(part)
        try:
            wanted.come()
            return
        except (RuntimeError, MemoryError) as error:
            if not (is_out_of_memory(error) and self.make_way()):
                raise
            logger.warning("no room for a part beside another: %s", error)
        release_memory()
        wanted.come()

    def _here_bytes(self) -> int:
        return sum(part.nbytes for part in (*self._encoders, self._denoiser) if part.is_here)

    def _let_leave(self, part: Part) -> None:
        if part is self._denoiser:
            self.on_leave()
        part.leave()
