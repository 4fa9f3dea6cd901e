"""Whether a model fits onto the device, and how it is loaded there. Arithmetic alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from worker.config import Weights
from worker.pipelines.architectures import ARCHITECTURES
from worker.pipelines.sizes import ModelSizes

# full: everything on the device. beside: text encoders wait beside it, and come to read a prompt.
# Of an encoder that is larger than the device some blocks come for each call; streamed: of the
# denoiser, too.
# fp8: the denoiser's weights are stored in one byte each; fp8_beside, fp8_streamed: both.
Manner = Literal["full", "beside", "streamed", "fp8", "fp8_beside", "fp8_streamed"]
MANNERS: Final[dict[Weights, tuple[Manner, ...]]] = {
    "auto": ("full", "beside", "fp8", "fp8_beside", "fp8_streamed"),
    "full": ("full", "beside", "streamed"),
    "fp8": ("fp8", "fp8_beside", "fp8_streamed"),
}
# Nothing waits beside the device.
TOGETHER: Final = frozenset({"full", "fp8"})
# Of a part that is streamed at least this share must have room: its ends, and blocks under way.
STREAMED_SHARE: Final = 1 / 3

# Of a device, kept from weights in any case: the driver's context, and an image under way.
SPARE_BYTES: Final = 10**9
# A model that leaves images less than the rest of the room is loaded in the next manner.
COMFORTABLE_SHARE: Final = 0.85


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes for the weights of one model: `total` is the device's whole memory, `most` what it
    can give of it at best, `beside` what the machine can give to weights that wait."""

    total: int
    most: int
    beside: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model is loaded. `device_bytes`: what it takes of the device at most; `part_bytes`:
    how much of that is for the parts that come and go, 0 if none does; `stepping_bytes`: what it
    takes while it steps."""

    manner: Manner
    device_bytes: int
    part_bytes: int = 0
    stepping_bytes: int = 0

    @property
    def is_fp8(self) -> bool:
        """True if the denoiser is stored in fp8."""
        return self.manner.startswith("fp8")


def is_for(family: str, manner: Manner) -> bool:
    """False if parts would take turns that cannot: adapters read the prompt before the first step,
    other pipelines run whole."""
    return ARCHITECTURES[family].is_stepped or manner in TOGETHER


def needs_of(sizes: ModelSizes, itemsize: int) -> dict[Manner, int]:
    """Manner -> bytes that it takes of the device at least, at `itemsize` bytes a number.

    Beside: one part at a time is enough, the denoiser or an encoder, and some of that.
    """
    encoders, rest = sizes.encoders(itemsize), sizes.rest(itemsize)
    full, fp8 = sizes.denoiser(itemsize), sizes.denoiser(itemsize, fp8=True)
    reading = int(max(encoders, default=0) * STREAMED_SHARE)
    return {
        "full": rest + full + sum(encoders),
        "beside": rest + max(full, reading),
        "streamed": rest + max(int(full * STREAMED_SHARE), reading),
        "fp8": rest + fp8 + sum(encoders),
        "fp8_beside": rest + max(fp8, reading),
        "fp8_streamed": rest + max(int(fp8 * STREAMED_SHARE), reading),
    }


def plan_loading(
    sizes: ModelSizes, itemsize: int, *, room: Room, manners: Sequence[Manner]
) -> Plan | None:
    """The first of `manners` that fits into `room` and leaves images some of it; else the one
    that takes least; None if none fits."""
    needs = needs_of(sizes, itemsize)
    plans = [_plan(manner, needs[manner], sizes, itemsize, room) for manner in manners]
    fitting = [plan for plan in plans if plan is not None and plan.device_bytes <= room.most]
    spacious = room.most * COMFORTABLE_SHARE
    comfortable = (plan for plan in fitting if plan.stepping_bytes <= spacious)
    tightest = min(fitting, key=lambda plan: plan.device_bytes, default=None)
    return next(comfortable, tightest)


def _plan(manner: Manner, needed: int, sizes: ModelSizes, itemsize: int, room: Room) -> Plan | None:
    """None if the parts have no room to wait in."""
    if manner in TOGETHER:
        return Plan(manner, needed, stepping_bytes=needed)
    # More than it needs saves journeys: the denoiser may stay while an encoder reads.
    taken = max(needed, int(room.most * COMFORTABLE_SHARE))
    rest, encoders = sizes.rest(itemsize), sizes.encoders(itemsize)
    denoiser = sizes.denoiser(itemsize, fp8=manner.startswith("fp8"))
    stays = denoiser + max(encoders, default=0) <= taken - rest
    waiting = sum(encoders) + (0 if stays else denoiser)
    if waiting > room.beside or not encoders:
        return None
    return Plan(manner, taken, taken - rest, min(taken, rest + denoiser))
