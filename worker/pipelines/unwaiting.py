"""Thin subclasses of diffusers' schedulers that do not wait for the device.

Sigmas lie on the CPU, where a number of them costs no wait; three of diffusers' methods bring them
to the device in every call, one copy after the other. What is computed is theirs, bit for bit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LCMScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    TCDScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor
from torch.overrides import TorchFunctionMode

from worker.pipelines.copies import sent

# Any below: diffusers ships no types for its schedulers, and these stand before one as mixins.


class _NoisedByTime:
    """The level of noise is looked up by time, in a table that moves to the device once."""

    alphas_cumprod: Tensor

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        device = original_samples.device
        self.alphas_cumprod = sent(self.alphas_cumprod, device)
        parent: Any = super()
        noisy: Tensor = parent.add_noise(original_samples, noise, sent(timesteps, device))
        return noisy


class _NoisedBySigma:
    """The two shares of noise and image are computed on the CPU, in the format of the image, as
    what becomes of (1, 0) and (0, 1); a device takes such numbers along with its next kernel."""

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        parent: Any = super()
        kept, added = parent.add_noise(*_units(original_samples.dtype), timesteps)
        noisy: Tensor = kept * original_samples + added * noise
        return noisy


class _FlowNoise:
    """As `_NoisedBySigma`, for schedules of flow matching."""

    def scale_noise(self, sample: Tensor, timestep: Tensor, noise: Tensor) -> Tensor:
        parent: Any = super()
        image, pure = _units(sample.dtype)
        kept, added = parent.scale_noise(image, timestep, pure)
        noisy: Tensor = added * noise + kept * sample
        return noisy


def _units(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return torch.tensor([1, 0], dtype=dtype), torch.tensor([0, 1], dtype=dtype)


class _SigmasThere:
    """UniPC computes its coefficients on the device: the sigmas that it reads lie there too, and
    nobody asks whether its small system of equations could be solved."""

    sigmas: Tensor
    _moved: tuple[Tensor, Tensor] | None = None

    def multistep_uni_p_bh_update(self, *args: Any, sample: Tensor, **options: Any) -> Tensor:
        parent: Any = super()
        with self._sigmas_on(sample.device):
            updated: Tensor = parent.multistep_uni_p_bh_update(*args, sample=sample, **options)
        return updated

    def multistep_uni_c_bh_update(self, *args: Any, this_sample: Tensor, **options: Any) -> Tensor:
        parent: Any = super()
        with self._sigmas_on(this_sample.device):
            updated: Tensor = parent.multistep_uni_c_bh_update(
                *args, this_sample=this_sample, **options
            )
        return updated

    @contextmanager
    def _sigmas_on(self, device: torch.device) -> Iterator[None]:
        if device.type == "cpu":  # nothing to wait for
            yield
            return
        here = self.sigmas
        if self._moved is None or self._moved[0] is not here:
            self._moved = (here, sent(here, device))
        self.sigmas = self._moved[1]
        try:
            with _Unchecked():
                yield
        finally:
            self.sigmas = here


class _Unchecked(TorchFunctionMode):
    """`torch.linalg.solve` without its question whether the matrix was singular: UniPC's are not,
    its sigmas differ, and what came of one that was would be found not to be an image."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.linalg.solve:
            return torch.linalg.solve_ex(*args, **(kwargs or {}))[0]
        return func(*args, **(kwargs or {}))


# Heun's of flow matching is missing: it takes its sigma as a number from the CPU as it is.
_SUBCLASSED: Final[dict[type, tuple[Any, ...]]] = {
    _NoisedByTime: (DDIMScheduler, DDPMScheduler, LCMScheduler, PNDMScheduler, TCDScheduler),
    _NoisedBySigma: (
        DEISMultistepScheduler,
        DPMSolverMultistepScheduler,
        DPMSolverSinglestepScheduler,
        EDMDPMSolverMultistepScheduler,
        EDMEulerScheduler,
        EulerAncestralDiscreteScheduler,
        EulerDiscreteScheduler,
        HeunDiscreteScheduler,
        KDPM2AncestralDiscreteScheduler,
        KDPM2DiscreteScheduler,
        LMSDiscreteScheduler,
        UniPCMultistepScheduler,
    ),
    _FlowNoise: (FlowMatchEulerDiscreteScheduler,),
    _SigmasThere: (UniPCMultistepScheduler,),
}


@cache
def unwaiting(scheduler_class: Any) -> Any:
    """The subclass of `scheduler_class` that waits less; itself if it never waits.

    It has the same name: diffusers looks classes up by it.
    """
    mixins = [mixin for mixin, classes in _SUBCLASSED.items() if scheduler_class in classes]
    if not mixins:
        return scheduler_class
    return type(scheduler_class.__name__, (*mixins, scheduler_class), {"__module__": __name__})
