"""The device's memory: giving it back, and telling when it ran out."""

import gc

import torch

# The CPU and MPS allocators raise plain RuntimeErrors.
_SIGNS = ("out of memory", "can't allocate memory", "not enough memory")


def release_memory() -> None:
    """Return what is no longer referenced to the device."""
    gc.collect()  # pipelines hold cycles
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """True when `error` means that an allocation failed, on whatever device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)
