"""How often the host stands still for the device, which then stands still for the host.

Drawn on the pretend device (`tests/pretend_cuda`), which refuses mixed devices and number formats
as CUDA does, and float64 as MPS does.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.drawing import ask, ask_for, known_warnings
from tests.pipelines.kinds import EVERY_SAMPLER
from tests.pipelines.tiny_chat_models import CHAT_MODELS, words_for
from tests.pipelines.tiny_transformers import build_tiny_flux, build_tiny_sd3
from tests.pretend_cuda.drawing import PretendStudio, Waits
from webapp.catalog.architectures import ARCHITECTURES
from worker.pipelines.runner import ADAPTERS
from worker.pipelines.samplers import SAMPLERS

STEPS = 4
# The most waits of each stage by family, none if it is not named; in "steps", of all of them.
ALLOWED: dict[str, dict[str, int]] = {
    "begin": {
        "flux": 1,  # its pipeline makes the positions in main memory
        "flux2_klein": 1 + 4,  # as well; and the encoder looks at its mask, twice for each prompt
        "z_image": 4,  # the same encoder; only words that were not met before are read
        "qwen_image": 4,  # its pipelines make the VAE's statistics anew for each image
    },
    "call": {},
    "steps": {},
    "preview": {},
    "finish": {},
    "completion": dict.fromkeys(ADAPTERS, 1),  # for the image, in another thread
}
another_format = pytest.mark.slow("each push draws in the usual number format")
another_way = pytest.mark.slow("each push draws some of these, and all from text by sd")


def some(*names: str) -> list[Any]:
    """Every sampler, on a push these alone."""
    return [pytest.param(name, marks=() if name in names else another_way) for name in SAMPLERS]


FLOW_FAMILIES = ("sd3", "flux", *CHAT_MODELS)
# What a family of flow matching takes, in each mode.
FLOW = [
    (family, mode, sampler)
    for family in FLOW_FAMILIES
    for mode in ("text", "image", "inpaint")
    for sampler in ARCHITECTURES[family].samplers
    if mode in ARCHITECTURES[family].modes
    and (mode == "text" or sampler in ("flow_euler", "flow_heun"))
]


@pytest.fixture(scope="module", params=["float16", pytest.param("bfloat16", marks=another_format)])
def studio(request: pytest.FixtureRequest) -> PretendStudio:
    return PretendStudio(request.param)


@pytest.fixture(scope="module", params=["bfloat16", pytest.param("float16", marks=another_format)])
def flow_studio(request: pytest.FixtureRequest) -> PretendStudio:
    return PretendStudio(request.param)


@pytest.fixture(scope="module")
def flow_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("flow")
    builders: dict[str, Any] = {"sd3": build_tiny_sd3, "flux": build_tiny_flux, **CHAT_MODELS}
    return {family: build(folder / family) for family, build in builders.items()}


@pytest.fixture(autouse=True)
def _diffusers_with_its_warnings() -> Iterator[None]:
    with known_warnings():
        yield


def assert_allowed(waits: Waits, family: str) -> None:
    for stage, most in ALLOWED.items():
        seen = getattr(waits, stage)
        assert len(seen) <= most.get(family, 0), (stage, seen)


@pytest.mark.parametrize("sampler", EVERY_SAMPLER)
def test_no_sampler_of_sd_makes_the_host_wait(
    studio: PretendStudio, tiny_model_dir: Path, sampler: str
) -> None:
    waits = studio.draw(ask(tiny_model_dir, sampler=sampler, steps=STEPS))
    assert_allowed(waits, "sd")


@pytest.mark.parametrize("sampler", some("ddim", "euler", "dpmpp_2m_sde", "unipc", "heun", "lcm"))
def test_no_sampler_makes_the_host_wait_where_a_part_is_kept(
    studio: PretendStudio, tiny_model_dir: Path, sampler: str
) -> None:
    waits = studio.draw(ask_for("inpaint", tiny_model_dir, sampler=sampler, steps=STEPS))
    assert_allowed(waits, "sd")


@pytest.mark.parametrize("sampler", some("euler_a"))
@pytest.mark.parametrize("mode", ["text", "image"])
def test_no_sampler_of_sdxl_makes_the_host_wait(
    studio: PretendStudio, tiny_sdxl_dir: Path, mode: str, sampler: str
) -> None:
    request = ask_for(mode, tiny_sdxl_dir, family="sdxl", sampler=sampler, steps=STEPS)
    assert_allowed(studio.draw(request), "sdxl")


@pytest.mark.parametrize(("family", "mode", "sampler"), FLOW)
def test_no_sampler_of_flow_matching_makes_the_host_wait(
    flow_studio: PretendStudio, flow_models: dict[str, Path], family: str, mode: str, sampler: str
) -> None:
    asked = {"sampler": sampler, "steps": STEPS} | words_for(family)
    request = ask_for(mode, flow_models[family], family=family, **asked)
    assert_allowed(flow_studio.draw(request), family)


def test_a_weighted_prompt_makes_the_host_wait_no_more_than_another(
    studio: PretendStudio, tiny_model_dir: Path
) -> None:
    waits = studio.draw(ask(tiny_model_dir, prompt="a (red:1.4) cat", steps=1))
    assert_allowed(waits, "sd")


def test_the_noise_of_a_whole_batch_is_one_copy(
    studio: PretendStudio, tiny_model_dir: Path
) -> None:
    with studio.running() as runner:
        requests = [
            ask(tiny_model_dir, sampler=sampler, seed=seed, steps=STEPS)
            for seed, sampler in enumerate(["euler_a", "euler_a", "ddpm", "euler", "lcm"])
        ]
        runner.make_resident(requests[0].model)
        batch = [runner.begin(request) for request in requests]
        assert runner.step(batch) == [None] * len(batch)  # the first one says who needs noise
        before = studio.gpu.sends
        with studio.gpu.counted() as waits:
            assert runner.step(batch) == [None] * len(batch)
    assert studio.gpu.sends - before == 1
    assert [wait for wait in waits if wait.why != "event"] == []
