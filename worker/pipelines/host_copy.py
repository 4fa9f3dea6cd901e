"""Weights that wait in the machine's memory, page-locked beside CUDA, in few large blocks.

Page-locking is slow by the piece, and torch rounds every piece up to a power of two (2.13): the
2,600 tensors of a large model, one by one, take seconds in which nobody's image moves, and a third
more memory than they fill.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

BLOCK_BYTES: Final = 2**29
_ALIGNED_BYTES: Final = 256  # as CUDA's own allocator aligns

Empty = Callable[[int], Tensor]


def host_block(size: int) -> Tensor:
    """`size` bytes of the machine's memory, page-locked if there is a CUDA device."""
    return torch.empty(size, dtype=torch.uint8, pin_memory=torch.cuda.is_available())


def free_host_blocks() -> None:
    """Give the system back what no weights wait in any more: torch keeps page-locked memory."""
    if torch.cuda.is_available():
        torch.accelerator.empty_host_cache()


class HostCopy:
    """A copy of `tensors` in the machine's memory, of the same strides."""

    def __init__(self, tensors: Sequence[Tensor], *, empty: Empty = host_block) -> None:
        """Raises what the allocator raises; the tensors are as they were then."""
        self._tensors = list({id(tensor): tensor for tensor in tensors}.values())
        places, sizes = _places([tensor.nbytes for tensor in self._tensors])
        blocks = [empty(size) for size in sizes]
        # id of a tensor, which is held above -> its copy
        self._homes = {
            id(tensor): _home(tensor, blocks[place.block], place.begin)
            for tensor, place in zip(self._tensors, places, strict=True)
        }
        for tensor in self._tensors:
            self._homes[id(tensor)].copy_(tensor.data, non_blocking=True)

    def release(self) -> None:
        """Let go of the copies, even if something still refers to this."""
        self._tensors.clear()
        self._homes.clear()

    def settle(self, tensors: Iterable[Tensor] | None = None) -> list[Tensor]:
        """All tensors, or these, are their copies from now on. Returns those that have none."""
        wanted = self._tensors if tensors is None else list(tensors)
        for tensor in wanted:
            if id(tensor) in self._homes:
                tensor.data = self._homes[id(tensor)]
        return [tensor for tensor in wanted if id(tensor) not in self._homes]


@dataclass(frozen=True, slots=True)
class _Place:
    block: int
    begin: int


def _places(sizes: Sequence[int]) -> tuple[list[_Place], list[int]]:
    """Where each of `sizes` bytes lies, and the bytes of each block. The largest come first."""
    used: list[int] = []
    capacities: list[int] = []
    places = {}
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        size = -(-sizes[index] // _ALIGNED_BYTES) * _ALIGNED_BYTES
        block = _first_with_room(size, used, capacities)
        places[index] = _Place(block, used[block])
        used[block] += size
    return [places[index] for index in range(len(sizes))], used


def _first_with_room(size: int, used: list[int], capacities: list[int]) -> int:
    for block, taken in enumerate(used):
        if taken + size <= capacities[block]:
            return block
    used.append(0)
    capacities.append(max(BLOCK_BYTES, 1 << (size - 1).bit_length()))
    return len(used) - 1


def _home(tensor: Tensor, block: Tensor, begin: int) -> Tensor:
    # The strides that a copy of the tensor would have: convolutions may lie channels last.
    strides = torch.empty_like(tensor.data, device="meta").stride()
    values = block[begin : begin + tensor.nbytes].view(tensor.dtype)
    return values.as_strided(tensor.shape, strides)
