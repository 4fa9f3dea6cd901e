"""One sampler of each kind for every push; all of them when the worker has changed, and nightly."""

import pytest

from worker.pipelines.samplers import SAMPLERS

# By sigmas and by times, of one, two and three orders, single-step and multi-step, with a
# corrector, with noise at each step, with a memory of earlier answers.
KINDS = (
    "ddim",
    "euler",
    "euler_a",
    "dpmpp_2m_karras",
    "dpmpp_3m_sde_exponential",
    "dpmpp_sde",
    "unipc",
    "dpm2_a",
    "heun",
    "lms",
    "plms",
    "ddpm",
    "lcm",
    "tcd",
)
of_a_kind = pytest.mark.slow("another sampler of its kind is drawn", unless_changed="worker")
EVERY_SAMPLER = [pytest.param(name, marks=() if name in KINDS else of_a_kind) for name in SAMPLERS]
