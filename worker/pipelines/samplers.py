"""The samplers on offer, built from stock diffusers schedulers."""

from dataclasses import dataclass, field
from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)

from worker.engine.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Sampler:
    """A diffusers scheduler class, what it is built with, and its name for people."""

    name: str
    scheduler_class: Any
    options: dict[str, Any] = field(default_factory=dict)


SAMPLERS = {
    "ddim": Sampler("DDIM", DDIMScheduler),
    "euler": Sampler("Euler", EulerDiscreteScheduler),
    "euler_a": Sampler("Euler a", EulerAncestralDiscreteScheduler),
    "dpmpp_2m": Sampler("DPM++ 2M", DPMSolverMultistepScheduler, {"use_karras_sigmas": False}),
    "dpmpp_2m_karras": Sampler(
        "DPM++ 2M Karras", DPMSolverMultistepScheduler, {"use_karras_sigmas": True}
    ),
    "unipc": Sampler("UniPC", UniPCMultistepScheduler),
    "lcm": Sampler("LCM", LCMScheduler),
}
FLOW_SAMPLERS = {"flow_euler": Sampler("FlowMatch Euler", FlowMatchEulerDiscreteScheduler)}


# Any: diffusers ships no types for its schedulers.
def build_scheduler(trained: Any, slug: str, *, steps: int) -> Any:
    """Return a fresh scheduler of sampler `slug` with the settings the model was trained with.

    `trained` is the scheduler the model's own files describe; it is left untouched. Raises
    `InvalidRequest` when the sampler is unknown, does not fit the model or cannot do `steps`.
    """
    is_flow = "FlowMatch" in type(trained).__name__
    sampler = (FLOW_SAMPLERS if is_flow else SAMPLERS).get(slug)
    if sampler is None:
        names = ", ".join(FLOW_SAMPLERS if is_flow else SAMPLERS)
        raise InvalidRequest(f"The sampler {slug} does not fit this model; it takes {names}.")
    scheduler = sampler.scheduler_class.from_config(trained.config, **sampler.options)
    if not is_flow:  # a flow-match schedule may need the image size, and takes any step count
        _check_steps(scheduler, sampler, steps)
    return scheduler


def _check_steps(scheduler: Any, sampler: Sampler, steps: int) -> None:
    try:
        scheduler.set_timesteps(steps)
    except ValueError as error:
        sentence = f"The sampler {sampler.name} cannot do {steps} steps with this model."
        raise InvalidRequest(sentence, detail=str(error)) from error
