"""Parts of a model that take turns on the device: text encoders wait beside it while it steps.

They are needed to read a prompt only, and what they said is kept (`PromptCache`). A part comes
from page-locked memory, which keeps its copy, so that leaving costs nothing. If the device has no
room for an encoder beside the denoiser, the denoiser waits for as long; and of a part that is
larger than the device, some blocks come for each call.

The weights are the same numbers wherever they waited: an image's bits do not change.
"""

import logging
from collections.abc import Callable, Iterator, Set
from typing import Any, Final

import torch
from torch import Tensor, nn

from worker.pipelines.host_copy import HostCopy
from worker.pipelines.memory import is_out_of_memory, release_memory
from worker.pipelines.sizes import DENOISERS, is_encoder

logger = logging.getLogger(__name__)

# Of a part that is streamed, so many blocks have room at once.
_BLOCKS_AT_LEAST: Final = 4


class Part:
    """One component. Its weights wait in the machine's memory until it comes.

    Of one that is larger than `limit` bytes the last blocks are streamed: each comes for its own
    call, and leaves again. The copies are asked for and not waited for.
    """

    def __init__(
        self, module: nn.Module, device: torch.device, *, limit: int, copy: HostCopy | None = None
    ) -> None:
        """`copy` holds the part's weights, if it is a block of another part. Raises what the
        allocator raises."""
        self.module = module
        self.is_here = False
        self._device = device
        self._copy = copy or HostCopy([*module.parameters(), *module.buffers()])
        self._copy.settle(module.parameters())
        self._copy.settle(module.buffers())
        self._blocks = frozenset(_streamed_blocks(module, limit))
        self.streamed = [
            Part(block, device, limit=_bytes_of(block), copy=self._copy) for block in self._blocks
        ]
        for part in self.streamed:
            part.module.register_forward_pre_hook(part.come_for_call)
            part.module.register_forward_hook(part.leave_after_call, always_call=True)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes of the device: its own weights, and one streamed block."""
        streamed = max((part.nbytes for part in self.streamed), default=0)
        return sum(tensor.nbytes for tensor in self._weights()) + streamed

    def come_for_call(self, _module: nn.Module, _inputs: Any) -> None:
        """Before its call: the weights of a streamed block come. Raises what the allocator
        raises."""
        self.come()

    def leave_after_call(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        """After its call: they leave again, which nothing waits for."""
        self.leave()

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
        for tensor in self._copy.settle(self._weights()):
            tensor.data = tensor.data.to("cpu")

    def drop(self) -> None:
        """Let go of the copy in the machine's memory."""
        self._copy.release()

    def _weights(self) -> Iterator[Tensor]:
        """Those that come and leave together, each once; adapters may have been laid over it."""
        seen: set[int] = set()
        for module in _modules(self.module, but=self._blocks):
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield tensor


def _streamed_blocks(module: nn.Module, limit: int) -> list[nn.Module]:
    """The last of the module's repeated blocks, as many as are beyond `limit` bytes."""
    left = _bytes_of(module)
    blocks = list(_blocks(module, limit // _BLOCKS_AT_LEAST)) if left > limit else []
    streamed: list[nn.Module] = []
    largest = 0
    while blocks and left + largest > limit:
        streamed.append(blocks.pop())
        left -= _bytes_of(streamed[-1])
        largest = max(largest, _bytes_of(streamed[-1]))
    return streamed


def _blocks(module: nn.Module, most: int) -> Iterator[nn.Module]:
    """Blocks of `most` bytes if possible, in the order of the module's lists of such."""
    for child in module.children():
        if not isinstance(child, nn.ModuleList):
            yield from _blocks(child, most)
            continue
        for block in child:
            within = list(_blocks(block, most)) if _bytes_of(block) > most else []
            yield from within or [block]


def _modules(module: nn.Module, *, but: Set[nn.Module]) -> Iterator[nn.Module]:
    """The module and all within, `but` of those blocks."""
    if module in but:
        return
    yield module
    for child in module.children():
        yield from _modules(child, but=but)


def _bytes_of(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


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
        self._encoders = [Part(modules[name], device, limit=room) for name in encoders]
        self._denoiser = Part(modules[self.denoiser_name], device, limit=room)
        for encoder in self._encoders:
            encoder.module.register_forward_pre_hook(self._coming(encoder))

    @property
    def is_streamed(self) -> bool:
        """True if blocks of the denoiser come and go with each call."""
        return bool(self._denoiser.streamed)

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
        """The model leaves memory: let go of the copies, which the encoders' hooks refer to."""
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
