"""The architectures that models on offer may have: what the web must know of each.

`worker.pipelines.architectures` says how each is recognised and drawn; a test holds the two
together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from webapp.catalog.samplers import DIFFUSION_SAMPLERS, FLOW_SAMPLERS, OWN

Denoiser = Literal["unet", "transformer", "any"]

# What an image may begin with, as `generation.models.Generation.Mode` names it.
TEXT: Final = "text"
IMAGE: Final = "image"
INPAINT: Final = "inpaint"
UPSCALE: Final = "upscale"
ALL_MODES: Final = frozenset({TEXT, IMAGE, INPAINT, UPSCALE})
# The slug of those that no adapter knows.
OTHER: Final = "other"

# What a single file, which brings no scheduler, was trained with.
STABLE_DIFFUSION_BETAS: Final = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "steps_offset": 1,
}
FLOW_MATCHING: Final = {"_class_name": "FlowMatchEulerDiscreteScheduler"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """`samplers`: slugs, in the order in which pages list them. `schedule`: the scheduler's
    configuration of a model that comes as a single file; `steps_offset`: what is added to its
    times, whatever the files say. `modes`: what an image may begin with. `price_factor`: what
    metered prices are suggested by.

    `least_guidance`: most guide from 1 on, and less means the same; some from 0, and distilled ones
    of them want 0. `most_clip_skip`: how far back among CLIP's layers a request may go; 1: not at
    all.

    What a model that is added begins with: `side_px`, `grid_px` (sides are multiples of it),
    `steps`, `guidance_scale`, `sampler` ("" for the first), `uses_negative_prompt`.
    """

    slug: str
    name: str | Promise
    samplers: tuple[str, ...]
    denoiser: Denoiser
    schedule: Mapping[str, Any]
    steps_offset: int | None = None
    side_px: int
    grid_px: int = 8
    steps: int = 30
    guidance_scale: float = 7.0
    least_guidance: float = 1.0
    most_clip_skip: int = 1
    sampler: str = ""
    uses_negative_prompt: bool = True
    modes: frozenset[str] = ALL_MODES
    price_factor: Decimal | None = None


_KNOWN: Final = (
    Architecture(
        slug="sd",
        name="Stable Diffusion 1.x / 2.x",
        samplers=tuple(DIFFUSION_SAMPLERS),
        denoiser="unet",
        schedule=STABLE_DIFFUSION_BETAS,
        steps_offset=1,
        side_px=512,
        steps=28,
        sampler="dpmpp_2m_karras",
        price_factor=Decimal("2.16e-6"),
        most_clip_skip=12,
    ),
    Architecture(
        slug="sdxl",
        name="Stable Diffusion XL",
        samplers=tuple(DIFFUSION_SAMPLERS),
        denoiser="unet",
        schedule=STABLE_DIFFUSION_BETAS,
        side_px=1024,
        guidance_scale=6.0,
        sampler="dpmpp_2m_karras",
        price_factor=Decimal("5.4e-6"),
        most_clip_skip=11,
    ),
    Architecture(
        slug="sd3",
        name="Stable Diffusion 3",
        samplers=tuple(FLOW_SAMPLERS),
        denoiser="transformer",
        schedule=FLOW_MATCHING,
        side_px=1024,
        grid_px=16,
        steps=28,
        guidance_scale=4.5,
    ),
    Architecture(
        slug="flux",
        name="FLUX.1",
        # It spaces its steps by hand, which Heun's does not take.
        samplers=tuple(slug for slug in FLOW_SAMPLERS if slug != "flow_heun"),
        denoiser="transformer",
        schedule=FLOW_MATCHING,
        side_px=1024,
        grid_px=16,
        steps=28,
        # It is told its scale, in one call: 3.5 is what diffusers and its authors use.
        guidance_scale=3.5,
        uses_negative_prompt=False,
    ),
    Architecture(
        slug="z_image",
        name="Z-Image",
        samplers=("flow_euler",),
        denoiser="transformer",
        schedule=FLOW_MATCHING,
        side_px=1024,
        grid_px=16,
        steps=50,
        guidance_scale=5.0,
        least_guidance=0.0,
    ),
    Architecture(
        slug="qwen_image",
        name="Qwen-Image",
        samplers=("flow_euler",),
        denoiser="transformer",
        schedule=FLOW_MATCHING,
        side_px=1328,
        grid_px=16,
        steps=50,
        guidance_scale=4.0,
    ),
    Architecture(
        slug="flux2_klein",
        name="FLUX.2 klein",
        samplers=("flow_euler", "flow_dpmpp_2m", "flow_unipc"),
        denoiser="transformer",
        schedule=FLOW_MATCHING,
        side_px=1024,
        grid_px=16,
        steps=50,
        guidance_scale=4.0,
        uses_negative_prompt=False,
        modes=frozenset({TEXT}),
    ),
    # Every other text-to-image pipeline of diffusers, drawn whole. What a model begins with, the
    # worker reads from its pipeline (`worker.pipelines.other`).
    Architecture(
        slug=OTHER,
        name=gettext_lazy("Other architecture"),
        samplers=(OWN,),
        denoiser="any",
        schedule={},
        side_px=1024,
        grid_px=16,
        least_guidance=0.0,
        modes=frozenset({TEXT}),
    ),
)
ARCHITECTURES: Final = {architecture.slug: architecture for architecture in _KNOWN}


def architecture_of(slug: str) -> Architecture:
    """The architecture of that slug; `OTHER`'s for one that this version does not know, whose
    images then fail with what the worker says of its files."""
    return ARCHITECTURES.get(slug, ARCHITECTURES[OTHER])


def architecture_choices() -> list[tuple[str, str | Promise]]:
    """(slug, name) of each. A callable, so that no migration freezes them."""
    return [(each.slug, each.name) for each in ARCHITECTURES.values()]
