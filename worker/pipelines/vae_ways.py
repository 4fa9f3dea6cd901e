"""How a VAE decodes and encodes when memory is short.

The way is the first of these that has room:

1. whole, beside the other models on the device;
2. whole, after they have left it, and then after captured graphs have let go of their memory;
3. half: whole in bfloat16, if the VAE works in float32; half the memory, and hardly to be seen;
4. tiles, blended at their edges. That can be seen: normalization and attention know one tile only.
   Of the starter model's images three quarters of the values change, a few by a tenth of the
   range.

What others hold is taken back before 3 and 4, so that the way depends on the model, the size and
the device, and not on who else is drawing: an exact request goes the way that it goes alone.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

import torch
from diffusers import AutoencoderKL, AutoencoderKLFlux2, AutoencoderKLQwenImage
from torch import Tensor, nn

from worker.pipelines.memory import is_out_of_memory, release_memory

logger = logging.getLogger(__name__)

Way = Literal["whole", "half", "tiles"]
Task = Literal["decode", "encode"]
Result = TypeVar("Result")

WAYS: Final[tuple[Way, ...]] = ("whole", "half", "tiles")
TILE_PX: Final = 512  # the files of large models name their whole size
# Bytes at the peak, in numbers of the first block's width per pixel: counted on the real sizes,
# they grow with the pixels alone.
_PEAK_NUMBERS: Final[dict[Task, int]] = {"decode": 6, "encode": 5}
# Only what misses by more than the reckoning can be wrong is not tried.
_HOPELESS_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class VaeTask:
    """What the VAE is to do, at a size in pixels: equal tasks need equal memory."""

    task: Task
    width_px: int
    height_px: int


# Of images, in the same parts; and what else can be tiled: of videos, by sizes of its own.
_OF_IMAGES: Final = (AutoencoderKL, AutoencoderKLFlux2)
_TILED: Final = (*_OF_IMAGES, AutoencoderKLQwenImage)

Relief = Callable[[], bool]


@dataclass(slots=True)
class _Attempt:
    """`ways`: those left, the present one first; `reliefs`: those not asked yet; `helped`: those
    that gave memory for the present way."""

    ways: list[Way]
    reliefs: list[Relief]
    helped: list[Relief] = field(default_factory=list)

    @property
    def is_last(self) -> bool:
        return len(self.ways) == 1 and not self.reliefs

    def give_way(self) -> None:
        """Go on with more memory, or if nobody has any to give, the next way."""
        release_memory()
        while self.reliefs:
            relief = self.reliefs.pop(0)
            if relief():
                release_memory()
                self.helped.append(relief)
                return
        if len(self.ways) > 1:
            self.ways.pop(0)
            self.helped.clear()


@dataclass(slots=True)
class VaeWays:
    """Of one model on the device: which way each task goes, found once and kept until it leaves.

    `reliefs`: what gives memory back, the cheapest first; each returns False if it had none to
    give. `available`: bytes that can be allocated; None if that cannot be asked. `is_upcast`: the
    model's pipelines take a float16 VAE to float32 if its files say so.
    """

    reliefs: Sequence[Relief] = ()
    available: Callable[[], int] | None = None
    is_upcast: bool = False
    # task -> the way it went the last time, and the reliefs that made it possible
    _known: dict[VaeTask, tuple[Way, list[Relief]]] = field(default_factory=dict)

    def run(self, vae: Any, task: VaeTask, work: Callable[[], Result]) -> tuple[Result, Way]:
        """What `work` returns, and the way it went. It may be called several times.

        Whatever comes of it, the VAE is as it was before. Raises what `work` raised: an
        allocation that failed, if even the last way has no room.
        """
        attempt = self._begin(vae, task)
        while True:
            way, is_last = attempt.ways[0], attempt.is_last
            done = None if self._is_hopeless(vae, task, attempt) else _try(vae, way, work)
            if isinstance(done, _Done):
                self._known[task] = (way, attempt.helped)
                return done.result, way
            if is_last and done is not None:
                raise done
            logger.warning("no room to %s an image (%s): trying another way", task.task, way)
            attempt.give_way()

    def forget(self) -> None:
        """The model leaves the device: there may be other room when it is back."""
        self._known.clear()

    def _begin(self, vae: Any, task: VaeTask) -> _Attempt:
        """What is known to be needed is done at once, and no way tried that failed before."""
        first, helped = self._known.get(task, ("whole", []))
        for relief in helped:
            relief()
        ways = [way for way in WAYS[WAYS.index(first) :] if self._is_of_use(vae, way, task)]
        reliefs = [relief for relief in self.reliefs if relief not in helped]
        return _Attempt(ways, reliefs, list(helped))

    def _is_hopeless(self, vae: Any, task: VaeTask, attempt: _Attempt) -> bool:
        """Whether the figures say that the present way need not be tried."""
        way = attempt.ways[0]
        if attempt.is_last or way == "tiles" or self.available is None:
            return False
        itemsize = 2 if way == "half" else self._itemsize(vae)
        return peak_bytes(vae, task, itemsize) * _HOPELESS_SHARE > self.available()

    def _is_of_use(self, vae: Any, way: Way, task: VaeTask) -> bool:
        if way == "whole":
            return True
        if way == "half":
            return isinstance(vae, _OF_IMAGES) and self._itemsize(vae) == torch.float32.itemsize
        return isinstance(vae, _TILED) and max(task.width_px, task.height_px) > _tile_px(vae)

    def _itemsize(self, vae: Any) -> int:
        """Bytes of the numbers that it works in."""
        dtype = getattr(vae, "dtype", torch.float32)
        if self.is_upcast and dtype == torch.float16 and vae.config.force_upcast:
            return torch.float32.itemsize
        return int(dtype.itemsize)


def peak_bytes(vae: Any, task: VaeTask, itemsize: int) -> int:
    """About how much memory `task` takes at its peak in one piece, in numbers of `itemsize` bytes;
    0 if the VAE is of a kind that nothing is known of."""
    if not isinstance(vae, _OF_IMAGES):
        return 0
    widths = vae.config.block_out_channels
    if task.task == "decode":
        widths = vae.config.get("decoder_block_out_channels") or widths
    numbers = _PEAK_NUMBERS[task.task] * widths[0]
    return int(numbers * task.width_px * task.height_px * itemsize)


@dataclass(slots=True)
class _Done:
    result: Any


def _try(vae: Any, way: Way, work: Callable[[], Any]) -> _Done | Exception:
    """The error is returned without its traceback, which holds the memory that must go."""
    try:
        with _as_before(vae), working(vae, way):
            return _Done(work())
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return error.with_traceback(None)


@contextmanager
def _as_before(vae: Any) -> Iterator[None]:
    """Pipelines that take a VAE to float32 leave it there if they fail."""
    dtype = getattr(vae, "dtype", None)
    try:
        yield
    finally:
        if dtype is not None and vae.dtype != dtype:
            vae.to(dtype)


@contextmanager
def working(vae: Any, way: Way) -> Iterator[None]:
    """The VAE goes that way inside."""
    if way == "half":
        with _halved(vae):
            yield
    elif way == "tiles":
        with _tiled(vae):
            yield
    else:
        yield


# Tiles


def _tile_px(vae: Any) -> int:
    if isinstance(vae, AutoencoderKLQwenImage):
        return int(vae.tile_sample_min_height)
    return min(int(vae.tile_sample_min_size), TILE_PX)


@contextmanager
def _tiled(vae: Any) -> Iterator[None]:
    with nullcontext() if isinstance(vae, AutoencoderKLQwenImage) else _smaller_tiles(vae):
        vae.enable_tiling()
        try:
            yield
        finally:
            vae.disable_tiling()


@contextmanager
def _smaller_tiles(vae: Any) -> Iterator[None]:
    before = (vae.tile_sample_min_size, vae.tile_latent_min_size)
    vae.tile_sample_min_size = _tile_px(vae)
    vae.tile_latent_min_size = vae.tile_sample_min_size * before[1] // before[0]
    try:
        yield
    finally:
        vae.tile_sample_min_size, vae.tile_latent_min_size = before


# Half precision


class _Cast:
    """Gives a module bfloat16 and hands back what it was given."""

    def __init__(self) -> None:
        self._given = torch.float32

    def before(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Any, ...]:
        self._given = inputs[0].dtype
        return (inputs[0].to(torch.bfloat16), *inputs[1:])

    def after(self, _module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        return output.to(self._given)


@contextmanager
def _halved(vae: Any) -> Iterator[None]:
    """bfloat16 does not overflow where float16 does: nobody has to take it to float32."""
    every = (vae.encoder, vae.quant_conv, vae.post_quant_conv, vae.decoder)
    modules = [module for module in every if module is not None]
    # Kept, for the way back from fewer digits would not lead to the same numbers.
    kept = [(tensor, tensor.data) for module in modules for tensor in _weights_of(module)]
    upcast = {name: vae.config[name] for name in ("force_upcast",) if name in vae.config}
    hooks = []
    try:
        for tensor, data in kept:
            tensor.data = data.to(torch.bfloat16) if data.is_floating_point() else data
        vae.register_to_config(**dict.fromkeys(upcast, False))
        for module in modules:
            cast = _Cast()
            hooks.append(module.register_forward_pre_hook(cast.before))
            hooks.append(module.register_forward_hook(cast.after))
        yield
    finally:
        for hook in hooks:
            hook.remove()
        vae.register_to_config(**upcast)
        for tensor, data in kept:
            tensor.data = data


def _weights_of(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
