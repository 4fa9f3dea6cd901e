"""Decoding a finished picture, in slices or tiles where the memory does not hold it whole."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from worker.pipelines.denoising import Denoising
from worker.pipelines.memory import is_out_of_memory, release_memory
from worker.pipelines.pixels import Rendering

logger = logging.getLogger(__name__)

# What to ask of the VAE, one after the other, once it ran out of memory. Tiles are blended where
# they meet, which shows in the last bits of the picture only.
_WAYS = ("slicing", "tiling")


def decode(denoising: Denoising, *, make_room: Callable[[], None]) -> Rendering:
    """The picture; `make_room` is called before another try.

    Raises what the allocator raised where even tiles do not fit.
    """
    vae = getattr(denoising.model.pipeline, "vae", None)
    dtype = getattr(vae, "dtype", None)
    for way in ("whole", *_WAYS):
        with _decoding_by(vae, way):
            rendering = _try(denoising, is_last=way == _WAYS[-1])
        if rendering is not None:
            return rendering
        logger.warning("no room to decode a picture (%s); trying another way", way)
        if vae is not None and vae.dtype != dtype:  # failed between turning to float32 and back
            vae.to(dtype)
        make_room()
        release_memory()
    raise AssertionError("the last way returns or raises")


def _try(denoising: Denoising, *, is_last: bool) -> Rendering | None:
    try:
        return denoising.adapter.decode(denoising)
    except (RuntimeError, MemoryError) as error:
        if is_last or not is_out_of_memory(error):
            raise
        return None


@contextmanager
def _decoding_by(vae: Any, way: str) -> Iterator[None]:
    if way not in _WAYS or not hasattr(vae, f"enable_{way}"):
        yield
        return
    getattr(vae, f"enable_{way}")()
    try:
        yield
    finally:
        getattr(vae, f"disable_{way}")()
