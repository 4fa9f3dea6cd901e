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
from tests.pipelines.tiny_transformers import build_tiny_flux, build_tiny_sd3
from tests.pretend_cuda.drawing import PretendStudio, Waits
from worker.pipelines.samplers import FLOW_SAMPLERS, SAMPLERS

STEPS = 4
# The most waits of each stage by family, none if it is not named; in "steps", of all of them.
ALLOWED: dict[str, dict[str, int]] = {
    "begin": {"flux": 1},  # its pipeline makes the positions in main memory
    "call": {},
    "steps": {},
    "preview": {},
    "finish": {},
    "completion": {"sd": 1, "sdxl": 1, "sd3": 1, "flux": 1},  # for the image, in another thread
}
another_format = pytest.mark.slow("each push draws in the usual number format")
another_way = pytest.mark.slow("each push draws some of these, and all from text by sd")


def some(*names: str) -> list[Any]:
    """Every sampler, on a push these alone."""
    return [pytest.param(name, marks=() if name in names else another_way) for name in SAMPLERS]


# What a family of flow matching takes, in each mode.
FLOW = [
    (family, mode, sampler)
    for family in ("sd3", "flux")
    for mode in ("text", "image", "inpaint")
    for sampler in FLOW_SAMPLERS
    if (mode == "text" or sampler in ("flow_euler", "flow_heun"))
    and (family, sampler) != ("flux", "flow_heun")
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
    return {"sd3": build_tiny_sd3(folder / "sd3"), "flux": build_tiny_flux(folder / "flux")}


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
    words = {} if family == "sd3" else {"negative_prompt": ""}
    path = flow_models[family]
    request = ask_for(mode, path, family=family, sampler=sampler, steps=STEPS, **words)
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
