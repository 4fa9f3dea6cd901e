"""The samplers on offer, as users know them. `worker.pipelines.samplers` maps the same slugs."""

from webapp.catalog.families import Family

SAMPLER_NAMES: dict[str, str] = {
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
    "flow_euler": "FlowMatch Euler",
    "flow_heun": "FlowMatch Heun",
    "flow_dpmpp_2m": "FlowMatch DPM++ 2M",
    "flow_unipc": "FlowMatch UniPC",
}
FLOW_SAMPLERS = tuple(slug for slug in SAMPLER_NAMES if slug.startswith("flow_"))
DIFFUSION_SAMPLERS = tuple(slug for slug in SAMPLER_NAMES if slug not in FLOW_SAMPLERS)
# Flux spaces its steps by hand, which this one does not take.
FLUX_SAMPLERS = tuple(slug for slug in FLOW_SAMPLERS if slug != "flow_heun")


def samplers_of(family: str) -> tuple[str, ...]:
    """The slugs that models of that family can use, the usual order first."""
    if family == Family.FLUX:
        return FLUX_SAMPLERS
    return FLOW_SAMPLERS if family == Family.SD3 else DIFFUSION_SAMPLERS
