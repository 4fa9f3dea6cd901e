"""The noise of one request: drawn on the CPU, so that every device draws the same image, and
brought to the device without waiting for it.

diffusers draws with `randn_tensor` wherever it needs noise; `serve` puts the one below in its
place, which differs for a `Noise` only. Bits and order of what is drawn are diffusers' own.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.utils.torch_utils import randn_tensor as randn_tensor_that_waits
from torch import Tensor

from worker.pipelines.copies import sent


class _Form(NamedTuple):
    shape: torch.Size
    dtype: torch.dtype | None
    device: torch.device


class Noise(torch.Generator):
    """A CPU generator that may draw ahead what a sampler will ask for next.

    What was drawn ahead is handed out when the same is asked for again. When something else is
    asked for, it is taken back first: the numbers never depend on who drew ahead.
    """

    def __new__(cls, seed: int) -> "Noise":
        """A generator that begins with `seed`."""
        return super().__new__(cls, "cpu")  # type: ignore[call-arg]

    def __init__(self, seed: int) -> None:
        self.manual_seed(seed)
        self._asked: _Form | None = None
        self._ahead: Tensor | None = None
        self._state_before: Tensor | None = None

    def normal(self, form: _Form) -> Tensor:
        """Normal noise of that form, the next of this generator."""
        ahead = self._ahead
        if ahead is not None and form == self._asked:
            self._ahead = None
            return ahead
        self.take_back()
        self._asked = form
        drawn = torch.randn(form.shape, generator=self, dtype=form.dtype)
        return sent(drawn, form.device)

    def wanted(self) -> _Form | None:
        """What a sampler that asks again will ask for; None if that is unknown or there."""
        return self._asked if self._ahead is None else None

    def draw_into(self, row: Tensor) -> None:
        """Fill `row` with the next noise; `put_ahead` is to follow."""
        self._state_before = self.get_state()
        row.normal_(generator=self)

    def put_ahead(self, row: Tensor) -> None:
        """Keep what `draw_into` drew, on the device, until it is asked for."""
        self._ahead = row

    def take_back(self) -> None:
        """As if nothing had been drawn ahead, nor asked for."""
        if self._ahead is not None and self._state_before is not None:
            self.set_state(self._state_before)
        self._ahead = self._asked = None


def draw_ahead(generators: Iterable[Noise]) -> None:
    """Draw for each one what its sampler asked for last time: one copy for all of a form.

    To be called while the device is busy with the denoiser; samplers that need no noise cost
    nothing.
    """
    askers: defaultdict[_Form, list[Noise]] = defaultdict(list)
    for generator in generators:
        form = generator.wanted()
        if form is not None:
            askers[form].append(generator)
    for form, group in askers.items():
        _draw_together(form, group)


def _draw_together(form: _Form, group: list[Noise]) -> None:
    is_cuda = form.device.type == "cuda"
    rows = torch.empty(len(group), *form.shape, dtype=form.dtype, pin_memory=is_cuda)
    for generator, row in zip(group, rows.unbind(), strict=True):
        generator.draw_into(row)
    there = rows.to(form.device, non_blocking=True)
    for generator, row in zip(group, there.unbind(), strict=True):
        generator.put_ahead(row)


def serve(*classes: Any) -> None:
    """Let the modules of these classes of diffusers draw by `randn_tensor` below."""
    for module in {sys.modules[each.__module__] for each in classes}:
        if hasattr(module, "randn_tensor"):
            module.randn_tensor = randn_tensor  # type: ignore[attr-defined]


def randn_tensor(
    shape: Any,
    generator: Any = None,
    device: Any = None,
    dtype: torch.dtype | None = None,
    layout: torch.layout | None = None,
) -> Tensor:
    """As diffusers' own, without the wait if the generator is a `Noise`."""
    if not isinstance(generator, Noise):
        drawn: Tensor = randn_tensor_that_waits(shape, generator, device, dtype, layout)
        return drawn
    return generator.normal(_Form(torch.Size(shape), dtype, torch.device(device or "cpu")))


serve(DiagonalGaussianDistribution)  # what a start image is encoded to is drawn as well
