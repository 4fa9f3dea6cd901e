"""The samplers on offer, as users know them. `worker.pipelines.samplers` maps the same slugs."""

from typing import Final

from django.utils.translation import gettext as _

# Slug -> name, the usual one first. Of models that were trained by diffusion:
DIFFUSION_SAMPLERS: Final = {
    "ddim": "DDIM",
    "euler": "Euler",
    "euler_a": "Euler a",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_karras": "DPM++ 2M Karras",
    "unipc": "UniPC",
    "lcm": "LCM",
    "euler_karras": "Euler Karras",
    "euler_beta": "Euler Beta",
    "dpmpp_2m_beta": "DPM++ 2M Beta",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_2m_sde_karras": "DPM++ 2M SDE Karras",
    "dpmpp_2m_sde_exponential": "DPM++ 2M SDE Exponential",
    "dpmpp_3m_sde": "DPM++ 3M SDE",
    "dpmpp_3m_sde_karras": "DPM++ 3M SDE Karras",
    "dpmpp_3m_sde_exponential": "DPM++ 3M SDE Exponential",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_sde_karras": "DPM++ SDE Karras",
    "dpmpp_2s": "DPM++ 2S",
    "dpmpp_2s_karras": "DPM++ 2S Karras",
    "dpm2": "DPM2",
    "dpm2_karras": "DPM2 Karras",
    "dpm2_a": "DPM2 a",
    "dpm2_a_karras": "DPM2 a Karras",
    "heun": "Heun",
    "heun_karras": "Heun Karras",
    "lms": "LMS",
    "lms_karras": "LMS Karras",
    "deis": "DEIS",
    "ddpm": "DDPM",
    "plms": "PLMS",
    "tcd": "TCD",
}
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
