"""The systems under test, with a real tiny model: baselines must be as good as they claim to be."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch

from tests.bench.engine.loads import Ticket, closed_loop
from tests.bench.engine.measure import Bench
from tests.bench.engine.plan import Plan
from tests.bench.engine.plot import Plot
from tests.bench.engine.requests import Mix
from tests.bench.engine.run import sibling
from tests.bench.engine.systems import EngineSystem, PipeSystem, System
from worker.config import EngineConfig
from worker.pipelines.samplers import build_scheduler

# diffusers' Euler hands NumPy 2 a tensor that knows no `copy` keyword; the numbers are right.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TINY_PLAN = Plan(
    clients=2,
    rounds=1,
    saturation=2,
    loads=(0.3, 0.95),
    arrivals=2,
    dumped=2,
    light_users=2,
    light_each=1,
    pairs=1,
    cancels=1,
    deviating=2,
)


@pytest.fixture
def engine() -> Iterator[EngineSystem]:
    system = EngineSystem(EngineConfig(device="cpu", threads=1))
    yield system
    system.close()


@pytest.fixture
def calls(pipe: Any) -> list[int]:
    """Rows of every denoiser call that the pipeline makes."""
    rows: list[int] = []
    pipe.unet.register_forward_pre_hook(lambda _unet, given: rows.append(len(given[0])))
    return rows


def test_the_plain_baseline_draws_what_diffusers_draws(mix: Mix, pipe: Any) -> None:
    request = mix.draw(1, load="x")[0]
    system = PipeSystem("b0", pipe)
    image = Ticket(system, request).wait()
    system.close()

    pipe.scheduler = build_scheduler(pipe.scheduler, request.sampler, steps=request.steps)
    expected = pipe(
        request.prompt,
        negative_prompt=request.negative_prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        width=64,
        height=64,
        generator=torch.Generator("cpu").manual_seed(request.seed),
    ).images[0]
    assert image is not None
    assert image.pixels == expected.tobytes()


def test_equal_requests_share_one_call_where_they_are_coalesced(
    mix: Mix, pipe: Any, calls: list[int]
) -> None:
    system = PipeSystem("b2", pipe, at_most=8)
    run = closed_loop(system, mix.dump(10, load="x"), clients=10, device="cpu")
    system.close()

    assert len(run.drawn) == 10
    # Three steps of eight images, three of the two left; two rows each.
    assert calls == [16] * 3 + [4] * 3


def test_unequal_requests_are_not_coalesced(mix: Mix, pipe: Any, calls: list[int]) -> None:
    system = PipeSystem("b2", pipe, at_most=8)
    unlike = [mix.request("short", steps=2), mix.request("long", steps=4)]
    closed_loop(system, unlike, clients=2, device="cpu")
    system.close()

    assert calls == [2] * 6


def test_the_plain_baseline_draws_one_at_a_time(mix: Mix, pipe: Any, calls: list[int]) -> None:
    system = PipeSystem("b0", pipe)
    closed_loop(system, mix.dump(4, load="x"), clients=4, device="cpu")
    system.close()

    assert calls == [2] * 12


def test_a_baseline_can_stop_only_what_waits(mix: Mix, pipe: Any) -> None:
    system = PipeSystem("b0", pipe)
    tickets = [Ticket(system, request) for request in mix.dump(20, load="x")]
    tickets[-1].cancel()
    images = [ticket.wait() for ticket in tickets]
    tickets[0].cancel()
    system.close()

    assert [image is None for image in images] == [False] * 19 + [True]


def test_denoiser_calls_of_the_engine_are_counted_by_request(
    mix: Mix, engine: EngineSystem
) -> None:
    request = mix.request("x", steps=4, sampler="ddim")
    Ticket(engine, request).wait()

    assert engine.calls_of("x") == 4


def test_a_bench_measures_every_load_on_every_system(
    mix: Mix, pipe: Any, engine: EngineSystem
) -> None:
    systems: dict[str, System] = {
        "b0": PipeSystem("b0", pipe),
        "b2": PipeSystem("b2", sibling(pipe), at_most=8),
        "engine": engine,
    }
    results = Bench(systems, mix, TINY_PLAN, "cpu", lambda _what: None).measure()
    for name in ("b0", "b2"):
        systems[name].close()

    measured: list[Mapping[str, object]] = [
        results.saturation,
        results.dump,
        results.light_p95_s,
        *results.loads.values(),
    ]
    assert all(set(by_system) == set(systems) for by_system in measured)
    assert list(results.loads) == [0.3, 0.95]
    assert results.cancel_calls <= 1
    assert results.deviation_max <= 2 / 255
    assert results.fingerprint["device"] == "cpu"
    assert Plot(results.loads).svg("x").count("<circle") == 2 * 2 * 3
