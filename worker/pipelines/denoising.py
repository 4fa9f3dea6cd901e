"""One request between two steps, and the step that many requests take together.

Each request keeps its own diffusers scheduler, generator, latents and encoded prompt. A step puts
the rows of all requests of a batch into one denoiser call, whatever their timesteps, then lets
each one's own scheduler take its own rows on. What differs between architectures is in the
adapters, one file per family.
"""

import inspect
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from worker.engine.request import ImageRequest
from worker.engine.runner import CallWay
from worker.pipelines.copies import sent
from worker.pipelines.loader import LoadedModel
from worker.pipelines.noise import Noise, draw_ahead
from worker.pipelines.pixels import Arriving
from worker.pipelines.samplers import step_options
from worker.pipelines.watching import Watch, overflowed

AfterStep = Callable[[Tensor, int], Tensor]
ModelInput = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class DenoiserInputs:
    """All that one denoiser call of R rows takes: latents [R, ...], times [R] and conditioning,
    each [R, ...]."""

    latents: Tensor
    times: Tensor
    conditioning: dict[str, Tensor]

    def copied(self) -> "DenoiserInputs":
        """Tensors of their own: joined ones may be a request's, which goes on meanwhile."""
        conditioning = {name: tensor.clone() for name, tensor in self.conditioning.items()}
        return DenoiserInputs(self.latents.clone(), self.times.clone(), conditioning)

    def take(self, other: "DenoiserInputs") -> None:
        """Copy the values of `other`, of equal shapes, into these tensors."""
        self.latents.copy_(other.latents)
        self.times.copy_(other.times)
        for name, tensor in other.conditioning.items():
            self.conditioning[name].copy_(tensor)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The denoiser's answer [R, ...]; `call_rows` counts the rows of the call that gave it, R or
    more, `compiled` says whether compiled code did, and `way` how the device was told; None when
    more than the call was done, so that its time and its memory mean nothing."""

    answer: Tensor
    call_rows: int
    compiled: bool = False
    way: CallWay | None = "eager"

    @property
    def drawn_by(self) -> "DrawnBy":
        """What an image's record keeps of it."""
        return DrawnBy(self.call_rows, self.compiled, self.way == "graph")


class DrawnBy(NamedTuple):
    """How a denoiser call was made: its rows, by compiled code or not, from a graph or not."""

    call_rows: int
    compiled: bool
    graphed: bool


@dataclass(slots=True, eq=False)
class Denoising:
    """A request under way; implements `worker.engine.runner.Denoising`.

    `latents`: [1, ...] as the family's denoiser takes them. `timesteps`: one per denoiser call, on
    the CPU, as schedulers compare them; `times`: the same as the denoiser is told them, on the
    device of the latents. `conditioning`: what the denoiser is told beside latents and time, by
    the names that the adapter's `predict` uses, each of shape [rows, ...], the unconditional row
    first.
    `model_input` puts further channels beside scaled latents [rows, ...] (inpainting models);
    `after_step` takes the new latents and the index of the step done, and returns them as they
    go on (inpainting puts back what is kept). `encoded`: the way its start image was encoded, see
    `VaeWays`. `drawn_by`: the predictions' (call rows, compiled, graphed). `watch`: whether its
    latents are numbers still.
    """

    request: ImageRequest
    model: LoadedModel
    adapter: "Adapter"
    scheduler: Any
    timesteps: Tensor
    generator: Noise
    latents: Tensor
    conditioning: dict[str, Tensor]
    rows: int
    step_options: dict[str, Any] = field(default_factory=dict)
    model_input: ModelInput | None = None
    after_step: AfterStep | None = None
    encoded: str | None = None
    done: int = 0
    drawn_by: set[DrawnBy] = field(default_factory=set)
    key: Hashable = None
    watch: Watch = field(default_factory=Watch)
    times: Tensor = field(init=False)

    def __post_init__(self) -> None:
        # Every denoiser turns them into float32 itself; some devices have no float64 to begin with.
        self.times = sent(self.timesteps.to(torch.float32), self.latents.device)
        self.generator.take_back()  # what the beginning asked for says nothing of the steps
        shapes = tuple((name, t.shape[1:]) for name, t in sorted(self.conditioning.items()))
        latents = (self.latents.shape, self.latents.dtype)
        # An exact image must not depend on who else is drawn: its key has no equal.
        alone = self.request.request_id if self.request.exact else None
        self.key = (self.request.model, self.request.loras, latents, shapes, alone)

    @property
    def calls(self) -> int:
        """Denoiser calls in all; a sampler may need more than one for a step."""
        return len(self.timesteps)


class Adapter(Protocol):
    """All that is particular to a family of models."""

    def begin(self, model: LoadedModel, request: ImageRequest) -> Denoising:
        """Encode the prompt, draw the first latents, set up the sampler.

        Raises `InvalidRequest` for what this model cannot do.
        """
        ...

    def predict(
        self, model: LoadedModel, latents: Tensor, times: Tensor, conditioning: dict[str, Tensor]
    ) -> Tensor:
        """The denoiser's answer [R, ...] for latents [R, ...] at `times` [R]."""
        ...

    def guide(self, denoising: Denoising, prediction: Tensor) -> Tensor:
        """One answer [1, ...] from the request's own rows [rows, ...], the unconditional one
        first."""
        ...

    def grid(self, denoising: Denoising) -> Tensor:
        """The present latents as a grid [channels, height, width], scaled as the denoiser sees
        them, for previews."""
        ...

    def decode(self, denoising: Denoising) -> Arriving:
        """What `latents` decode to: the image [3, height, width] in 0..1 on its way to main memory,
        as RGB bytes. Raises what the allocator raises."""
        ...


Predict = Callable[[Sequence[Denoising], DenoiserInputs], Prediction]


def predict_eagerly(batch: Sequence[Denoising], inputs: DenoiserInputs) -> Prediction:
    """The call as it is, at its own row count: what the guarantee of equal bits is given for."""
    first = batch[0]
    answer = first.adapter.predict(first.model, inputs.latents, inputs.times, inputs.conditioning)
    return Prediction(answer, len(inputs.latents))


@torch.no_grad()
def step(batch: Sequence[Denoising], predict: Predict = predict_eagerly) -> list[Exception | None]:
    """Advance every denoising of `batch` (equal keys) by one denoiser call.

    Returns what went wrong for each alone; None if it advanced. What the shared call raises is
    raised, with every denoising as it was before.
    """
    first = batch[0]
    prepared = [_rows_of(denoising) for denoising in batch]
    inputs = DenoiserInputs(
        _joined([latents for latents, _ in prepared]),
        _joined([times for _, times in prepared]),
        {
            name: _joined([denoising.conditioning[name] for denoising in batch])
            for name in first.conditioning
        },
    )
    prediction = predict(batch, inputs)
    draw_ahead(denoising.generator for denoising in batch)  # the device is busy meanwhile
    for denoising in batch:
        denoising.drawn_by.add(prediction.drawn_by)
    parts = torch.split(prediction.answer, [denoising.rows for denoising in batch])
    return [_advance(denoising, part) for denoising, part in zip(batch, parts, strict=True)]


def guide(prediction: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022): u + scale * (c - u) of rows [u, c].

    A single row is returned as it is.
    """
    if len(prediction) == 1:
        return prediction
    unconditional, conditional = prediction.chunk(2)
    return unconditional + scale * (conditional - unconditional)


def _rows_of(denoising: Denoising) -> tuple[Tensor, Tensor]:
    """The denoising's share of the call: scaled latents [rows, ...] and times [rows]."""
    time = denoising.timesteps[denoising.done]
    latents = torch.cat([denoising.latents] * denoising.rows)
    if hasattr(denoising.scheduler, "scale_model_input"):
        latents = denoising.scheduler.scale_model_input(latents, time)
    if denoising.model_input is not None:
        latents = denoising.model_input(latents)
    return latents, denoising.times[denoising.done].expand(denoising.rows)


def _advance(denoising: Denoising, prediction: Tensor) -> Exception | None:
    try:
        guided = denoising.adapter.guide(denoising, prediction)
        time = denoising.timesteps[denoising.done]
        latents = denoising.scheduler.step(
            guided, time, denoising.latents, **denoising.step_options, return_dict=False
        )[0]
        if denoising.after_step is not None:
            latents = denoising.after_step(latents, denoising.done)
    # One request's sampler must not take its neighbours down.
    except Exception as error:
        return error
    denoising.latents = latents
    denoising.done += 1
    if denoising.done == denoising.calls:
        denoising.generator.take_back()
    is_lost = denoising.watch.sees_overflow(latents, denoising.done)
    return overflowed() if is_lost else None


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def sampler_options(scheduler: Any, generator: torch.Generator) -> dict[str, Any]:
    """What this scheduler's `step` is told beside tensors: what diffusers' pipelines tell it, but
    for what its sampler wants otherwise."""
    accepted = inspect.signature(scheduler.step).parameters
    options = {"eta": 0.0, "generator": generator} | step_options(scheduler)
    return {name: value for name, value in options.items() if name in accepted}
