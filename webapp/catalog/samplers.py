"""The samplers on offer, as users know them. `worker.pipelines.samplers` maps the same slugs."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from django.utils.translation import gettext as _


@dataclass(frozen=True, slots=True)
class Sampler:
    """Its name, and how its scheduler of diffusers spaces times, which the preview of a start image
    reads (`static/js/start/noise.js`)."""

    name: str
    sigmas: str = ""  # "karras", "exponential" or "beta" where noise levels are spaced, not times
    spacing: str = "linspace"  # of times, if the model's files say none
    is_solver: bool = False  # leaves the last of steps + 1 even times away
    from_all_times: bool = False  # takes the outermost noise levels from all times
    drops_zero_snr: bool = False  # knows no schedule that ends in noise alone


def _dpmpp(name: str, sigmas: str = "", *, drops_zero_snr: bool = False) -> Sampler:
    return Sampler(name, sigmas, is_solver=True, from_all_times=True, drops_zero_snr=drops_zero_snr)


# By slug, the usual one first. Of models that were trained by diffusion:
BY_DIFFUSION: Final = {
    "ddim": Sampler("DDIM", spacing="leading"),
    "euler": Sampler("Euler"),
    "euler_a": Sampler("Euler a"),
    "dpmpp_2m": _dpmpp("DPM++ 2M"),
    "dpmpp_2m_karras": _dpmpp("DPM++ 2M Karras", "karras"),
    "unipc": Sampler("UniPC", is_solver=True),
    "lcm": Sampler("LCM", spacing="leading"),
    "euler_karras": Sampler("Euler Karras", "karras"),
    "euler_beta": Sampler("Euler Beta", "beta"),
    "dpmpp_2m_beta": _dpmpp("DPM++ 2M Beta", "beta"),
    "dpmpp_2m_sde": _dpmpp("DPM++ 2M SDE"),
    "dpmpp_2m_sde_karras": _dpmpp("DPM++ 2M SDE Karras", "karras"),
    "dpmpp_2m_sde_exponential": _dpmpp("DPM++ 2M SDE Exponential", "exponential"),
    "dpmpp_3m_sde": _dpmpp("DPM++ 3M SDE"),
    "dpmpp_3m_sde_karras": _dpmpp("DPM++ 3M SDE Karras", "karras"),
    "dpmpp_3m_sde_exponential": _dpmpp("DPM++ 3M SDE Exponential", "exponential"),
    "dpmpp_sde": _dpmpp("DPM++ SDE", drops_zero_snr=True),
    "dpmpp_sde_karras": _dpmpp("DPM++ SDE Karras", "karras", drops_zero_snr=True),
    "dpmpp_2s": _dpmpp("DPM++ 2S", drops_zero_snr=True),
    "dpmpp_2s_karras": _dpmpp("DPM++ 2S Karras", "karras", drops_zero_snr=True),
    "dpm2": Sampler("DPM2", drops_zero_snr=True),
    "dpm2_karras": Sampler("DPM2 Karras", "karras", drops_zero_snr=True),
    "dpm2_a": Sampler("DPM2 a", drops_zero_snr=True),
    "dpm2_a_karras": Sampler("DPM2 a Karras", "karras", drops_zero_snr=True),
    "heun": Sampler("Heun", drops_zero_snr=True),
    "heun_karras": Sampler("Heun Karras", "karras", drops_zero_snr=True),
    "lms": Sampler("LMS", drops_zero_snr=True),
    "lms_karras": Sampler("LMS Karras", "karras", drops_zero_snr=True),
    "deis": Sampler("DEIS", is_solver=True, drops_zero_snr=True),
    "ddpm": Sampler("DDPM", spacing="leading"),
    "plms": Sampler("PLMS", spacing="leading", drops_zero_snr=True),
    "tcd": Sampler("TCD", spacing="leading"),
}
ZERO_SNR_DROPPED: Final = frozenset(s for s, each in BY_DIFFUSION.items() if each.drops_zero_snr)
# Slug -> name.
DIFFUSION_SAMPLERS: Final = {slug: each.name for slug, each in BY_DIFFUSION.items()}
# By flow matching:
FLOW_SAMPLERS: Final = {
    "flow_euler": "FlowMatch Euler",
    "flow_heun": "FlowMatch Heun",
    "flow_dpmpp_2m": "FlowMatch DPM++ 2M",
    "flow_unipc": "FlowMatch UniPC",
}
# What the model's own files name, set as they set it: of architectures that are drawn whole.
OWN: Final = "own"
SAMPLER_NAMES: Final = DIFFUSION_SAMPLERS | FLOW_SAMPLERS | {OWN: "Model default"}


def sampler_label(slug: str) -> str:
    """The name on pages, in the reader's language if it is not a proper name; the slug itself
    for one that is not offered any more."""
    return _("Model default") if slug == OWN else SAMPLER_NAMES.get(slug, slug)


def sampler_choices() -> list[tuple[str, str]]:
    """(slug, name) of each. A callable, so that no migration freezes them."""
    return list(SAMPLER_NAMES.items())


def spacing_facts() -> dict[str, dict[str, Any]]:
    """What a page's script is told of each sampler's times, by slug; what is not said is not so."""
    return {
        slug: {
            fact: value
            for fact, value in asdict(each).items()
            if value and fact not in {"name", "drops_zero_snr"}
        }
        for slug, each in BY_DIFFUSION.items()
    }
