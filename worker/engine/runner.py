"""What the engine needs of whatever makes images. Only the engine thread calls any of it."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from worker.engine.request import ImageRequest, ModelSource, RenderedImage, Stage

OnStep = Callable[[Stage, int, int, bytes | None], None]
ShouldStop = Callable[[], bool]
# How the device was told of a denoiser call: op by op, through compiled code, or by one replay of
# a graph that was captured of it.
CallWay = Literal["graph", "compiled", "eager"]
WAYS_BY_SPEED: Final[tuple[CallWay, ...]] = ("graph", "compiled", "eager")


class Denoising(Protocol):
    """One request between two steps: latents, sampler, generator and encoded prompt.

    It may be left alone for any time and taken up again: nothing else refers to it.
    """

    @property
    def key(self) -> Hashable:
        """Requests with equal keys can share a denoiser call.

        In it is what must be one for all rows of a call: model and LoRAs (one set of weights),
        shape and type of the latents and shapes of what the prompt became (rows of one tensor);
        and the request's id if it is exact, which so has no equal. Everything that a sampler does
        between two calls is not in it: steps, seed, guidance, strength, mask, and the timestep,
        which the denoiser takes for each row.
        """
        ...

    @property
    def rows(self) -> int:
        """Rows that it adds to a denoiser call: 2 with guidance, else 1."""
        ...

    @property
    def calls(self) -> int:
        """Denoiser calls in all; a sampler may need more or fewer than the steps asked for."""
        ...

    @property
    def done(self) -> int:
        """Denoiser calls made so far."""
        ...


@dataclass(frozen=True, slots=True)
class CallTime:
    """How long the device worked at one step: `shape` is what `Runner.step` was told, `rows` are
    those asked for."""

    shape: Hashable
    rows: int
    seconds: float
    way: CallWay = "eager"


@dataclass(frozen=True, slots=True)
class RunnerGauges:
    """What the runner has to say of itself for the heartbeat; memory in bytes."""

    device: str = ""
    resident: tuple[str, ...] = ()
    memory_used: int = 0
    memory_total: int = 0
    prompt_cache_hits: int = 0
    prompt_cache_misses: int = 0


class Runner(Protocol):
    """Makes images step by step, several at once. Everything it raises is an `EngineError`, or
    a defect that the engine reports as one; if `is_device_lost` says so of it, the engine ends.
    """

    def enter_thread(self) -> None:
        """Called once by every thread before it uses the device."""
        ...

    def is_resident(self, model: ModelSource) -> bool:
        """True if the model is on the device, so that `begin` costs no loading."""
        ...

    def has_room_for(self, model: ModelSource) -> bool:
        """True if the model is resident, or could be without another leaving the device."""
        ...

    def make_resident(self, model: ModelSource) -> None:
        """Bring the model onto the device; others leave if there is no room for both.

        Raises `ModelUnavailable` or `OutOfMemory`. Denoisings of a model that left may not be
        stepped until it is back.
        """
        ...

    def make_way(self, model: ModelSource) -> bool:
        """Let every other model leave the device: something of this one's ran out of memory. True
        if one left."""
        ...

    def can_step(self, model: ModelSource) -> bool:
        """False for a resident model whose family has no adapter: use `render`."""
        ...

    def begin(self, request: ImageRequest) -> Denoising:
        """Encode the prompt and draw the first latents. The model must be resident.

        Raises `InvalidRequest` for what the model cannot do, or `OutOfMemory`.
        """
        ...

    def step(self, batch: Sequence[Denoising], *, shape: Hashable = None) -> list[Exception | None]:
        """One denoiser call for all of `batch` (equal keys), then each one's own sampler.

        Returns what went wrong for each alone, None if it advanced. Raises `OutOfMemory`, or
        whatever else the shared call raised, with every denoising of the batch as it was before.
        `shape` comes back with the step's time; None if nobody wants to know it.
        """
        ...

    def step_times(self) -> list[CallTime]:
        """Times of steps that the device has come to the end of, each told once.

        A device may still be at a step when `step` returns: its time is told after a later one,
        and never waited for. Steps that did more than to draw (a capture) are left out.
        """
        ...

    def idle(self) -> bool:
        """Nobody waits: do one piece of work that must not stand beside a step, such as to
        compile. False if there is none."""
        ...

    def row_limit(self, key: Hashable) -> int | None:
        """Most rows that memory has room for in one call; None if that is not known."""
        ...

    def start_preview(self, denoising: Denoising) -> Callable[[], bytes | None]:
        """Begin a preview without waiting for the device; the result is called by another thread
        and returns a WebP of at most 6 KB, or None if the model has no preview."""
        ...

    def start_finish(self, denoising: Denoising) -> Callable[[], RenderedImage]:
        """Decode the image without waiting for the device. Raises `OutOfMemory`.

        The result is called by another thread and returns the image, timings and rows left to
        the engine; it raises `EngineError` if the model's numbers are not an image.
        """
        ...

    def render(
        self, request: ImageRequest, *, on_step: OnStep, should_stop: ShouldStop
    ) -> RenderedImage:
        """Make the whole image at once, for families without an adapter; its model is resident.

        Calls `on_step(stage, step, steps, preview)` at the start of each stage and after each
        step, and asks `should_stop()` at least once per step; `timings` are filled in but for
        `wait_s` and `load_s`. Raises `Cancelled` when told to stop, another `EngineError` when
        the image cannot be made.
        """
        ...

    def gauges(self) -> RunnerGauges:
        """Figures for the heartbeat; any thread may ask."""
        ...
