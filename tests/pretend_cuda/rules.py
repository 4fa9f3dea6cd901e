"""What a CUDA device refuses, and on what the host waits for it, as far as tests need it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tests.pretend_cuda.tensors import PretendTensor, tensors_in

# The host needs a number that only the device has.
_ASKING = frozenset(
    {
        "_local_scalar_dense",
        "_linalg_check_errors",
        "_unique2",
        "allclose",
        "bincount",
        "equal",
        "is_nonzero",
        "linalg_lstsq",
        "masked_select",
        "nonzero",
        "unique_consecutive",
        "unique_dim",
    }
)
# Element by element, CUDA takes a number (a CPU tensor without dimensions) along; these do not.
_WHOLE = (
    "_scaled_dot_product",
    "addmm",
    "bmm",
    "cat",
    "convolution",
    "embedding",
    "gather",
    "index_select",
    "linalg",
    "linear",
    "mm",
    "scatter",
    "stack",
)
_ONE_DTYPE = ("_scaled_dot_product", "addmm", "bmm", "convolution", "linear", "mm")


def name_of(func: Any) -> str:
    """`aten::mm` as "mm"."""
    return str(func._schema.name).partition("::")[2]


def check_devices(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raises RuntimeError as CUDA does if its tensors meet those of main memory."""
    tensors = tensors_in((args, kwargs))
    others = [each for each in tensors if not isinstance(each, PretendTensor)]
    name = name_of(func)
    if len(others) in (0, len(tensors)) or _is_indexing(name):
        return
    if any(each.ndim for each in others) or name.startswith(_WHOLE):
        where = ", ".join(f"{each.device} {tuple(each.shape)}" for each in tensors)
        raise RuntimeError(f"Expected all tensors to be on the same device: {name} of {where}")


def check_dtypes(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raises RuntimeError if a kernel takes one number format and is given several."""
    if not name_of(func).startswith(_ONE_DTYPE):
        return
    formats = {each.dtype for each in tensors_in((args, kwargs)) if each.is_floating_point()}
    if len(formats) > 1:
        raise RuntimeError(f"Expected one dtype: {name_of(func)} of {sorted(map(str, formats))}")


def reason_to_wait(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """Why the host waits in this operation on a tensor of the device; None if it goes on."""
    name = name_of(func)
    if name in _ASKING:
        return name
    if name == "repeat_interleave" and kwargs.get("output_size") is None:
        return name
    return reason_to_index(tuple(args[1])) if _is_indexing(name) and len(args) > 1 else None


def reason_to_index(index: Any) -> str | None:
    """Why the host waits if a tensor of the device is indexed so."""
    for each in index if isinstance(index, tuple) else (index,):
        reason = _reason_of_part(each)
        if reason:
            return reason
    return None


def _reason_of_part(part: Any) -> str | None:
    if isinstance(part, tuple | list):
        return "index by a list"
    if not isinstance(part, Tensor):
        return None
    if part.dtype == torch.bool:
        return "index by true and false"
    is_number = part.ndim == 0
    if isinstance(part, PretendTensor):
        return "index by a number on the device" if is_number else None
    return None if is_number else "index by a CPU tensor"


def _is_indexing(name: str) -> bool:
    return name.startswith(("index", "_index", "_unsafe_index")) and name != "index_select"
