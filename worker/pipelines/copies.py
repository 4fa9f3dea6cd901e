"""Copies between main memory and the device for which the engine thread does not stand still.

A plain `.to(device)` from ordinary memory waits on CUDA until the device has done all that it was
asked for before. From and to page-locked memory the copy takes its turn there instead (torch's
notes on CUDA semantics, "Use pinned memory buffers").
"""

from collections.abc import Callable

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`: itself if it is there, else a copy; `tensor` may change meanwhile."""
    if tensor.device.type != "cpu" or device.type != "cuda":
        return tensor.to(device)
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return pinned.copy_(tensor).to(device, non_blocking=True)


def start_fetching(tensor: Tensor) -> tuple[Tensor, Callable[[], None]]:
    """The bytes as they will lie in main memory, and what waits until they do, in any thread.

    On CUDA an event tells the end of the copy, and whoever waits for it leaves the core to others;
    elsewhere the bytes are there at once.
    """
    if tensor.device.type != "cuda":
        return tensor.cpu(), lambda: None
    copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    copy.copy_(tensor, non_blocking=True)
    event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    event.record()
    return copy, event.synchronize


def start_asking(answer: Tensor) -> Callable[[], bool | None]:
    """What a tensor of one truth value says; None while a CUDA device has not come to it, so that
    nobody waits for it."""
    if answer.device.type != "cuda":
        return lambda: bool(answer)
    copy = torch.empty(answer.shape, dtype=answer.dtype, pin_memory=True)
    copy.copy_(answer, non_blocking=True)
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()
    return lambda: bool(copy) if event.query() else None  # type: ignore[no-untyped-call]
