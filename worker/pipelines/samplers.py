"""The samplers on offer, built from stock diffusers schedulers.

Names are those of AUTOMATIC1111's web UI, mapped as diffusers' own table maps them. "DPM++ SDE" is
there of a solver that needs a Brownian tree of its own package; here it is the same second-order
single-step SDE solver (Lu et al. 2022, DPM-Solver++) with fresh noise at each step.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

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
    FlowMatchHeunDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LCMScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    TCDScheduler,
    UniPCMultistepScheduler,
)

from worker.engine.errors import InvalidRequest
from worker.pipelines.noise import serve
from worker.pipelines.unwaiting import unwaiting

Options = dict[str, Any]
_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Sampler:
    """A diffusers scheduler class, what it is built with, and its name for people. `step_options`:
    what each of its steps is told, against what pipelines tell all schedulers."""

    name: str
    scheduler_class: Any
    options: Options = field(default_factory=dict)
    step_options: Options = field(default_factory=dict)


def _spaced(spacing: str = "") -> Options:
    """How a schedule is spaced. Every switch is set: the model's own files may have set another."""
    return {f"use_{name}_sigmas": name == spacing for name in ("karras", "exponential", "beta")}


def _dpm(algorithm: str, order: int, spacing: str = "") -> Options:
    return {"algorithm_type": algorithm, "solver_order": order} | _spaced(spacing)


def _single(algorithm: str, spacing: str = "") -> Options:
    """One denoiser call a step; a last step of first order lets any number of steps work."""
    return _dpm(algorithm, 2, spacing) | {"lower_order_final": True}


def _flow(**options: Any) -> Options:
    flow = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "solver_order": 2}
    return options | flow | _spaced()


# One step spaced otherwise is the step to time 0 of an image that is noise as yet: a flat image.
_ONE_STEP: Options = {"timestep_spacing": "trailing"}
_SDE = "sde-dpmsolver++"
SAMPLERS = {
    "ddim": Sampler("DDIM", DDIMScheduler),
    "euler": Sampler("Euler", EulerDiscreteScheduler, _spaced()),
    "euler_a": Sampler("Euler a", EulerAncestralDiscreteScheduler),
    "dpmpp_2m": Sampler("DPM++ 2M", DPMSolverMultistepScheduler, _dpm("dpmsolver++", 2)),
    "dpmpp_2m_karras": Sampler(
        "DPM++ 2M Karras", DPMSolverMultistepScheduler, _dpm("dpmsolver++", 2, "karras")
    ),
    "unipc": Sampler("UniPC", UniPCMultistepScheduler, _spaced()),
    "lcm": Sampler("LCM", LCMScheduler),
    "euler_karras": Sampler("Euler Karras", EulerDiscreteScheduler, _spaced("karras")),
    "euler_beta": Sampler("Euler Beta", EulerDiscreteScheduler, _spaced("beta")),
    "dpmpp_2m_beta": Sampler(
        "DPM++ 2M Beta", DPMSolverMultistepScheduler, _dpm("dpmsolver++", 2, "beta")
    ),
    "dpmpp_2m_sde": Sampler("DPM++ 2M SDE", DPMSolverMultistepScheduler, _dpm(_SDE, 2)),
    "dpmpp_2m_sde_karras": Sampler(
        "DPM++ 2M SDE Karras", DPMSolverMultistepScheduler, _dpm(_SDE, 2, "karras")
    ),
    "dpmpp_2m_sde_exponential": Sampler(
        "DPM++ 2M SDE Exponential", DPMSolverMultistepScheduler, _dpm(_SDE, 2, "exponential")
    ),
    "dpmpp_3m_sde": Sampler("DPM++ 3M SDE", DPMSolverMultistepScheduler, _dpm(_SDE, 3)),
    "dpmpp_3m_sde_karras": Sampler(
        "DPM++ 3M SDE Karras", DPMSolverMultistepScheduler, _dpm(_SDE, 3, "karras")
    ),
    "dpmpp_3m_sde_exponential": Sampler(
        "DPM++ 3M SDE Exponential", DPMSolverMultistepScheduler, _dpm(_SDE, 3, "exponential")
    ),
    "dpmpp_sde": Sampler("DPM++ SDE", DPMSolverSinglestepScheduler, _single(_SDE)),
    "dpmpp_sde_karras": Sampler(
        "DPM++ SDE Karras", DPMSolverSinglestepScheduler, _single(_SDE, "karras")
    ),
    "dpmpp_2s": Sampler("DPM++ 2S", DPMSolverSinglestepScheduler, _single("dpmsolver++")),
    "dpmpp_2s_karras": Sampler(
        "DPM++ 2S Karras", DPMSolverSinglestepScheduler, _single("dpmsolver++", "karras")
    ),
    "dpm2": Sampler("DPM2", KDPM2DiscreteScheduler, _spaced()),
    "dpm2_karras": Sampler("DPM2 Karras", KDPM2DiscreteScheduler, _spaced("karras")),
    "dpm2_a": Sampler("DPM2 a", KDPM2AncestralDiscreteScheduler, _spaced()),
    "dpm2_a_karras": Sampler("DPM2 a Karras", KDPM2AncestralDiscreteScheduler, _spaced("karras")),
    "heun": Sampler("Heun", HeunDiscreteScheduler, _spaced()),
    "heun_karras": Sampler("Heun Karras", HeunDiscreteScheduler, _spaced("karras")),
    "lms": Sampler("LMS", LMSDiscreteScheduler, _spaced()),
    "lms_karras": Sampler("LMS Karras", LMSDiscreteScheduler, _spaced("karras")),
    "deis": Sampler(
        "DEIS", DEISMultistepScheduler, {"algorithm_type": "deis", "solver_order": 2} | _spaced()
    ),
    "ddpm": Sampler("DDPM", DDPMScheduler),
    "plms": Sampler("PLMS", PNDMScheduler, {"skip_prk_steps": True}),
    # Its steps put noise back: as much as its authors and diffusers' own default do (Zheng et al.
    # 2024), where pipelines, made for DDIM, say none at all.
    "tcd": Sampler("TCD", TCDScheduler, step_options={"eta": 0.3}),
}
FLOW_SAMPLERS = {
    "flow_euler": Sampler("FlowMatch Euler", FlowMatchEulerDiscreteScheduler),
    "flow_heun": Sampler("FlowMatch Heun", FlowMatchHeunDiscreteScheduler),
    "flow_dpmpp_2m": Sampler(
        "FlowMatch DPM++ 2M", DPMSolverMultistepScheduler, _flow(algorithm_type="dpmsolver++")
    ),
    "flow_unipc": Sampler("FlowMatch UniPC", UniPCMultistepScheduler, _flow()),
}
# Models trained as Karras et al. 2022 (EDM) put the numbers; only these two know them.
EDM_SAMPLERS = {
    "euler": Sampler("Euler", EDMEulerScheduler),
    "dpmpp_2m": Sampler("DPM++ 2M", EDMDPMSolverMultistepScheduler),
}

# The setting of a schedule that ends in noise alone (Lin et al. 2024).
ZERO_SNR = "rescale_betas_zero_snr"

# The scheduler that the model's files name, set as they set it: of models that are drawn whole.
OWN = "own"

for _table in (SAMPLERS, FLOW_SAMPLERS, EDM_SAMPLERS):
    serve(*(sampler.scheduler_class for sampler in _table.values()))


# Any: diffusers ships no types for its schedulers.
def build_scheduler(
    trained: Any, slug: str, *, steps: int, settings: Mapping[str, Any] = _NONE
) -> Any:
    """Return a fresh scheduler of sampler `slug` with the settings the model was trained with.

    `trained` is the scheduler the model's own files describe; it is left untouched. `settings`
    are the architecture's (`Architecture.schedule_settings`), whatever the files say. Raises
    `InvalidRequest` when the sampler is unknown, does not fit the model or cannot do `steps`.
    """
    fitting = samplers_for(trained)
    sampler = fitting.get(slug)
    if sampler is None:
        names = ", ".join(fitting)
        raise InvalidRequest(f"The sampler {slug} does not fit this model; it takes {names}.")
    if steps == 1:
        settings = {**settings, **_ONE_STEP}
    scheduler = _configured(trained, sampler, settings)
    if fitting is not FLOW_SAMPLERS:  # a flow schedule may need the image size
        _check_steps(scheduler, sampler, steps)
    return scheduler


def samplers_for(trained: Any) -> dict[str, Sampler]:
    """Slug -> sampler, of those that fit a model with that scheduler in its files."""
    class_name = type(trained).__name__
    if class_name.startswith("EDM"):
        return EDM_SAMPLERS
    is_flow = "FlowMatch" in class_name or trained.config.get("use_flow_sigmas")
    if is_flow:
        return FLOW_SAMPLERS
    if not trained.config.get(ZERO_SNR):
        return SAMPLERS
    return {slug: each for slug, each in SAMPLERS.items() if takes(each, ZERO_SNR)}


def takes(sampler: Sampler, setting: str) -> bool:
    """Whether the sampler's scheduler has that setting; diffusers drops others, and draws by
    another schedule than the model was trained with."""
    return setting in inspect.signature(sampler.scheduler_class.__init__).parameters


def again(trained: Any) -> Any:
    """A fresh scheduler of the same class with the same settings."""
    return type(trained).from_config(_said_by(trained))


def _configured(trained: Any, sampler: Sampler, settings: Mapping[str, Any]) -> Any:
    """As `from_config` with the trained settings, without its warning, at each request, about
    those that this class does not take. They stay in the configuration: pipelines read them."""
    taken = inspect.signature(sampler.scheduler_class.__init__).parameters
    said = _said_by(trained)
    known = {name: value for name, value in said.items() if name in taken or name.startswith("_")}
    options = sampler.options | _shift(trained, sampler)
    options |= {name: value for name, value in settings.items() if name in taken}
    scheduler = unwaiting(sampler.scheduler_class).from_config(known, **options)
    hidden = {name: value for name, value in said.items() if name not in scheduler.config}
    scheduler.register_to_config(**hidden)
    return scheduler


def step_options(scheduler: Any) -> Options:
    """What each step of this scheduler is told, against what pipelines tell all; {} for most."""
    for sampler in SAMPLERS.values():
        if isinstance(scheduler, sampler.scheduler_class):
            return sampler.step_options
    return {}


def _said_by(trained: Any) -> Options:
    """What the model's files say of its schedule, and what its pipeline's constructor corrected in
    it. What neither says is left out: another class has another default, and `from_config` would
    take a value that was corrected for a default."""
    defaults = inspect.signature(type(trained).__init__).parameters
    return {
        name: value
        for name, value in trained.config.items()
        if name != "_use_default_values"
        and not (
            name in trained.config.get("_use_default_values", [])
            and value == defaults[name].default
        )
    }


def _shift(trained: Any, sampler: Sampler) -> Options:
    """The shift of a flow schedule, which flow-match schedulers and solvers name differently."""
    config = trained.config
    shift = config.get("shift", config.get("flow_shift"))
    if shift is None or sampler not in FLOW_SAMPLERS.values():
        return {}
    return {"shift" if "FlowMatch" in sampler.scheduler_class.__name__ else "flow_shift": shift}


def _check_steps(scheduler: Any, sampler: Sampler, steps: int) -> None:
    try:
        scheduler.set_timesteps(steps)
    except ValueError as error:
        sentence = f"The sampler {sampler.name} cannot do {steps} steps with this model."
        raise InvalidRequest(sentence, detail=str(error)) from error
