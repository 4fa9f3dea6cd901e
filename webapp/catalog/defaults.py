"""What a model that is added begins with: its architecture's, unless it was distilled to draw in
few steps, as `worker.recognition` tells from its header or its name (`few_step`, `few_steps`)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from webapp.catalog.architectures import Architecture


@dataclass(frozen=True, slots=True)
class FewSteps:
    """Of one way to distil: how many steps if nothing says so, at which guidance scale (no other
    was trained), and with which sampler (the architecture's usual one if none is named)."""

    steps: int
    guidance_scale: float = 1.0
    sampler: str = ""


# Who made each says so in its model card: Sauer et al. 2023 and 2024 (turbo), Lin et al. 2024
# (Lightning), Luo et al. 2023 (LCM), Yin et al. 2024 (DMD2), Ren et al. 2024 (Hyper-SD).
_BY_DIFFUSION: Final = {
    "turbo": FewSteps(4, sampler="euler_a"),
    "lightning": FewSteps(4, sampler="euler"),
    "lcm": FewSteps(6, sampler="lcm"),
    "dmd2": FewSteps(4, sampler="lcm"),
    "hyper": FewSteps(8, sampler="ddim"),
}
_FEW_STEPS: Final[Mapping[str, Mapping[str, FewSteps]]] = {
    "sd": _BY_DIFFUSION,
    "sdxl": _BY_DIFFUSION,
    "sd3": {"turbo": FewSteps(4)},
    "flux": {"schnell": FewSteps(4), "turbo": FewSteps(8, 3.5), "hyper": FewSteps(8, 3.5)},
    "flux2_klein": {"distilled": FewSteps(4)},
    "z_image": {"turbo": FewSteps(8, 0.0)},
    "qwen_image": {"lightning": FewSteps(8)},
}


def begins_with(architecture: Architecture, found: Mapping[str, Any]) -> Architecture:
    """The architecture with what a new model begins with in place of its usual values.

    `found`: what the worker says of the files, and the `defaults` of one that no adapter knows.
    """
    own = found.get("defaults", {})
    few = _FEW_STEPS.get(architecture.slug, {}).get(found.get("few_step", ""))
    if few is None:
        return replace(architecture, **own)
    distilled = replace(
        architecture,
        steps=found.get("few_steps") or few.steps,
        guidance_scale=few.guidance_scale,
        sampler=few.sampler or architecture.sampler,
        uses_negative_prompt=False,
    )
    return replace(distilled, **own)
