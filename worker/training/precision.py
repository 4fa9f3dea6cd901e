"""Half the bytes where that is faster: bfloat16 autocast on hardware that computes in it."""

from contextlib import AbstractContextManager

import torch


def mixed_precision(device: torch.device) -> AbstractContextManager[None]:
    """An autocast to bfloat16, or one that changes nothing where the CPU would imitate it.

    Measured on a CPU without AVX-512: a training step took 11 s in bfloat16 and 0.84 s in float32.
    """
    native = device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=native)
