"""A pretend CUDA device: the worker's own code runs on it whole, if there is no GPU.

What it shows: tensors that ended up on different devices or in different number formats, and each
place at which the host waits for the device. What it cannot show: time, streams that overtake each
other, other last bits than the CPU's, what kernels refuse beyond `rules.py`, memory that runs out
(counters are settable, see `cuda.py`), and weights that change their device by
`tensor.data = ...`, which raises here.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, cast

import torch
import torch.nn.functional as functional
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from tests.pretend_cuda.cuda import CudaState, patched_cuda
from tests.pretend_cuda.rules import (
    check_devices,
    check_dtypes,
    name_of,
    reason_to_index,
    reason_to_wait,
)
from tests.pretend_cuda.tensors import CUDA, PretendTensor, held, shares_memory, tensors_in


@dataclass(frozen=True, slots=True)
class Wait:
    """One wait of the host: why, and the worker's own line that led to it."""

    why: str
    where: str


class PretendCuda:
    """`with PretendCuda() as gpu:` then `torch.ones(2, device="cuda")`.

    `waits`: every wait so far; `sends`: copies from main memory so far; `state`: what `torch.cuda`
    answers. With `allows_float64` False it refuses that format, as MPS does. Creating tensors in
    another thread needs `with gpu.here()` there; working with tensors that exist does not.
    """

    def __init__(self, *, allows_float64: bool = True) -> None:
        self.waits: list[Wait] = []
        self.sends = 0
        self.state = CudaState(wait=self.wait)
        self.allows_float64 = allows_float64
        self._stack = ExitStack()
        self._pinned: list[Tensor] = []  # kept: no other tensor may get their address
        self._own_ways: dict[Any, Callable[..., Any]] = {
            Tensor.__getitem__: self._get_item,
            Tensor.__setitem__: self._set_item,
            Tensor.copy_: self._copy,
            Tensor.tolist: self._to_list,
            Tensor.nonzero: torch.ops.aten.nonzero.default,
            Tensor.data.__get__: lambda tensor: tensor,  # type: ignore[attr-defined]
            Tensor.data.__set__: self._set_data,  # type: ignore[attr-defined]
            functional.scaled_dot_product_attention: self._attention,
        }
        for func in (Tensor.contiguous, Tensor.clone, torch.clone):
            self._own_ways[func] = partial(self._same_or_copied, func)

    def __enter__(self) -> Self:
        self._stack.enter_context(patched_cuda(self.state))
        self._stack.enter_context(_new_parameters())
        self._stack.enter_context(self.here())
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextmanager
    def here(self) -> Iterator[None]:
        """In this thread, what is asked of "cuda" is made by this device."""
        with _Devices(self), _Operations(self):
            yield

    @contextmanager
    def counted(self) -> Iterator[list[Wait]]:
        """The waits from here to the end of the block; complete once that is over."""
        before, seen = len(self.waits), list[Wait]()
        yield seen
        seen += self.waits[before:]

    def wait(self, why: str) -> None:
        """Count a wait. Raises RuntimeError while a graph is captured, as CUDA does."""
        if self.state.recorder is not None:
            raise RuntimeError(f"operation not permitted when stream is capturing: {why}")
        self.waits.append(Wait(why, _worker_line()))

    def is_pinned(self, tensor: Tensor) -> bool:
        """Whether this tensor of main memory was asked for as page-locked."""
        return any(shares_memory(tensor, pinned) for pinned in self._pinned)

    def own_way(self, func: Any) -> Callable[..., Any] | None:
        """How this device does what torch would do in C++, past any dispatch; else None."""
        return self._own_ways.get(func)

    def run(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """One operation of torch's, wherever its tensors lie."""
        name = name_of(func)
        if name == "_to_copy":
            return self._to_copy(func, *args, **kwargs)
        if name == "copy_":
            return self._copy(*args, **kwargs)
        if name in ("is_pinned", "_pin_memory"):
            return self._pinning(name, args[0])
        if kwargs.get("pin_memory"):
            return self._pin(func(*args, **{**kwargs, "pin_memory": False}))
        return self._compute(func, args, dict(kwargs))

    def _compute(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        given = tensors_in((args, kwargs))
        device = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
        is_ours = any(isinstance(each, PretendTensor) for each in given)
        if is_ours:
            check_devices(func, args, kwargs)
            check_dtypes(func, args, kwargs)
            why = reason_to_wait(func, args, kwargs)
            if why:
                self.wait(why)
        if device is not None and device.type == "cuda":
            kwargs["device"], is_ours = torch.device("cpu"), True
        elif device is not None:
            is_ours = False
        if not is_ours:
            return func(*held(tuple(args)), **held(kwargs))
        return self._launch(func, args, kwargs)

    def _launch(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Any) -> Any:
        """The answer of `func` as tensors of this device; noted if a graph is captured."""
        call = (func, held(tuple(args)), held(dict(kwargs)))
        answer = func(*call[1], **call[2])
        if self.state.recorder is not None:
            self.state.recorder.note(*call, answer)
        known = {id(held(each)): each for each in tensors_in((args, kwargs)) if _is_ours(each)}
        return tree_map(lambda each: self._wrapped(each, known), answer)

    def _wrapped(self, value: Any, known: Mapping[int, Tensor]) -> Any:
        if not isinstance(value, Tensor) or isinstance(value, PretendTensor):
            return value
        if value.dtype == torch.float64 and not self.allows_float64:
            raise TypeError("this device has no float64")
        return known[id(value)] if id(value) in known else PretendTensor(value, self)

    # Copies

    def _to_copy(self, func: Any, source: Tensor, **options: Any) -> Tensor:
        target = torch.device(options.pop("device", None) or source.device)
        is_non_blocking = bool(options.pop("non_blocking", False))
        options.pop("pin_memory", None)
        if _is_ours(source) and target.type != "cuda":
            self.wait("copy to main memory")  # into pageable memory, whatever was asked for
        elif target.type == "cuda" and not _is_ours(source):
            self._note_sending(source, is_non_blocking=is_non_blocking)
        if target.type == "cuda":
            copy: Tensor = self._launch(_copied, (func, source), options)
            return copy
        return _copied(func, held(source), **options)

    def _copy(self, target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
        if not _is_ours(target):
            return self._bring_home(target, source, is_non_blocking=non_blocking)
        if not _is_ours(source):
            self._note_sending(source, is_non_blocking=non_blocking)
        self._launch(torch.ops.aten.copy_.default, (target, source), {})
        return target

    def _bring_home(self, target: Tensor, source: Tensor, *, is_non_blocking: bool) -> Tensor:
        """Bytes that nobody waited for are not there yet: see `CudaState.arriving`."""
        if not _is_ours(source):
            return target.copy_(source)
        values = held(source).clone()
        if is_non_blocking and self.is_pinned(target):
            target.view(-1).view(torch.uint8).fill_(0xAB)
            self.state.arriving.append(lambda: target.copy_(values))
            return target
        self.wait("copy to main memory")
        return target.copy_(values)

    def _note_sending(self, source: Tensor, *, is_non_blocking: bool) -> None:
        self.sends += 1
        if not (is_non_blocking and self.is_pinned(source)):
            self.wait("copy from pageable memory")

    def _pinning(self, name: str, tensor: Tensor) -> Any:
        if name == "is_pinned":
            return not _is_ours(tensor) and self.is_pinned(tensor)
        return self._pin(tensor.clone())

    def _pin(self, tensor: Tensor) -> Tensor:
        self._pinned.append(tensor)
        return tensor

    # What C++ would do by itself

    def _get_item(self, tensor: Tensor, index: Any) -> Any:
        self._check_index(tensor, index)
        if not _is_ours(tensor):
            return tensor[held(index)]
        return self._launch(_item, (tensor, index), {})

    def _set_item(self, tensor: Tensor, index: Any, value: Any) -> None:
        self._check_index(tensor, index)
        if not _is_ours(tensor):
            self.wait("set from the device")
            tensor[held(index)] = held(value)
            return
        if isinstance(value, Tensor) and not _is_ours(value) and value.ndim:
            self.wait("copy from pageable memory")
        self._launch(_put, (tensor, index, value), {})

    def _check_index(self, tensor: Tensor, index: Any) -> None:
        parts = [each for each in tensors_in(index) if _is_ours(each)]
        if not _is_ours(tensor) and any(each.ndim for each in parts):
            raise RuntimeError("indices should be on the same device as the indexed tensor (cpu)")
        why = reason_to_index(index)
        if why:
            self.wait(why)

    def _set_data(self, tensor: Tensor, value: Tensor) -> None:
        if not (_is_ours(tensor) and _is_ours(value) and tensor.shape == value.shape):
            raise NotImplementedError("the pretend device knows no weights that move in place")
        cast(PretendTensor, tensor).held = held(value)

    def _to_list(self, tensor: Tensor) -> Any:
        self.wait("copy to main memory")
        return held(tensor).tolist()

    def _same_or_copied(self, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        """In C++ a layout is made on the device itself."""
        if not _is_ours(tensor):
            return func(tensor, *args, **kwargs)
        return self._launch(func, (tensor, *args), kwargs)

    def _attention(self, *args: Any, **kwargs: Any) -> Any:
        check_devices(_Attention, args, kwargs)
        check_dtypes(_Attention, args, kwargs)
        return self._launch(functional.scaled_dot_product_attention, args, kwargs)


class _Attention:
    """Stands for the operation in `rules.py`: in C++ it is several."""

    class _schema:  # noqa: N801 - as torch names it
        name = "aten::_scaled_dot_product"


class _Devices(TorchFunctionMode):
    """Says which "cuda" is meant, and catches what has no tensor of ours among its arguments."""

    def __init__(self, gpu: PretendCuda) -> None:
        super().__init__()
        self._gpu = gpu

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        own = self._gpu.own_way(func)
        if own is not None and any(_is_ours(each) for each in tensors_in(args)):
            return own(*args, **(kwargs or {}))
        named = {name: _first_device(value) for name, value in (kwargs or {}).items()}
        return func(*map(_first_device, args), **named)


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, gpu: PretendCuda) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._gpu = gpu

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return self._gpu.run(func, args, kwargs or {})


def _first_device(value: Any) -> Any:
    is_device = isinstance(value, str | torch.device) and str(value) == "cuda"
    return CUDA if is_device else value


def _is_ours(value: Any) -> bool:
    return isinstance(value, PretendTensor)


def _copied(func: Any, source: Tensor, **options: Any) -> Tensor:
    copy: Tensor = func(source, **options)
    return copy.clone() if shares_memory(copy, source) else copy


def _item(tensor: Tensor, index: Any) -> Tensor:
    return tensor[index]


def _put(tensor: Tensor, index: Any, value: Any) -> None:
    tensor[index] = value


def _worker_line() -> str:
    """The innermost line of the worker's own code, such as "pipelines/modes.py:97 first"."""
    frame = sys._getframe(1)
    while frame is not None:
        _, is_worker, path = frame.f_code.co_filename.rpartition("/worker/")
        if is_worker and not path.startswith("test_"):
            return f"{path}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "not in the worker's code"


@contextmanager
def _new_parameters() -> Iterator[None]:
    """Modules that move get parameters anew, and numbers are no tensors of the device."""
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        yield
    finally:
        torch._C._set_only_lift_cpu_tensors(False)
        torch.__future__.set_overwrite_module_params_on_conversion(False)
