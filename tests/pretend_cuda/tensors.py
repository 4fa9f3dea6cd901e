"""Tensors that say they lie on `cuda:0` and hold their true values in main memory."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

if TYPE_CHECKING:
    from tests.pretend_cuda.device import PretendCuda

CUDA = torch.device("cuda:0")


class PretendTensor(Tensor):
    """A tensor of the pretend device: shape, strides and dtype of `held`, the device `cuda:0`.

    `gpu` is the device that made it; every operation on it goes there, in whatever thread.
    """

    held: Tensor
    gpu: "PretendCuda"

    @staticmethod
    def __new__(cls: type["PretendTensor"], held: Tensor, gpu: "PretendCuda") -> "PretendTensor":
        made = Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=CUDA,
            requires_grad=False,
        )
        made.held, made.gpu = held, gpu
        return made

    # Without arguments: torch's own takes some, and asks the device for the numbers.
    def __repr__(self) -> str:  # type: ignore[override]
        return f"PretendTensor({tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        gpu = next(each.gpu for each in _flat((args, kwargs)) if isinstance(each, PretendTensor))
        own = gpu.own_way(func)
        if own is not None:
            return own(*args, **(kwargs or {}))
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        gpu = next(each.gpu for each in _flat((args, kwargs)) if isinstance(each, PretendTensor))
        return gpu.run(func, args, kwargs or {})


def held(value: Any) -> Any:
    """`value` with every pretend tensor in it, however deep, replaced by what it holds."""
    return tree_map(lambda each: each.held if isinstance(each, PretendTensor) else each, value)


def tensors_in(value: Any) -> list[Tensor]:
    """Every tensor in nested arguments."""
    return [each for each in _flat(value) if isinstance(each, Tensor)]


def shares_memory(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of main memory lie in the same storage."""
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _flat(value: Any) -> list[Any]:
    return list(torch.utils._pytree.tree_leaves(value))
