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
    "flow_euler": "FlowMatch Euler",
}
FLOW_SAMPLERS = ("flow_euler",)
DIFFUSION_SAMPLERS = tuple(slug for slug in SAMPLER_NAMES if slug not in FLOW_SAMPLERS)


def samplers_of(family: str) -> tuple[str, ...]:
    """The slugs that models of that family can use, the usual order first."""
    if family in {Family.SD3, Family.FLUX}:
        return FLOW_SAMPLERS
    return DIFFUSION_SAMPLERS
