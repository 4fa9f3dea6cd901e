"""The load generator: the same for every system, and as varied as it says."""

from itertools import pairwise
from math import isclose

from tests.bench.engine.requests import GUIDANCE, SAMPLERS, STEPS, Mix, is_dumped
from tests.bench.engine.systems import parameters_of
from worker.engine.request import ModelSource

MODEL = ModelSource("tiny", "sd", "folder", "/models/tiny")
MIX = Mix(MODEL, side_px=128, seed=0)


def test_the_same_seed_draws_the_same_requests() -> None:
    again = Mix(MODEL, side_px=128, seed=0)
    stream = MIX.arrivals(50, load="x", per_s=2.0, cancel_within_s=1.0)

    assert MIX.draw(50, load="x") == again.draw(50, load="x")
    assert stream == again.arrivals(50, load="x", per_s=2.0, cancel_within_s=1.0)


def test_another_seed_or_load_draws_others() -> None:
    other = Mix(MODEL, side_px=128, seed=1)
    kinds = [parameters_of(request) for request in MIX.draw(50, load="x")]

    assert kinds != [parameters_of(request) for request in other.draw(50, load="x")]
    assert kinds != [parameters_of(request) for request in MIX.draw(50, load="y")]


def test_every_step_count_sampler_and_guidance_is_drawn() -> None:
    drawn = MIX.draw(200, load="x")

    assert {request.steps for request in drawn} == set(STEPS)
    assert {request.sampler for request in drawn} == set(SAMPLERS)
    assert {request.guidance_scale for request in drawn} == set(GUIDANCE)
    assert len({request.request_id for request in drawn}) == 200


def test_arrivals_keep_the_pace_asked_for() -> None:
    arrivals = MIX.arrivals(4000, load="x", per_s=5.0, cancel_within_s=1.0)
    gaps_s = [later.at_s - sooner.at_s for sooner, later in pairwise(arrivals)]

    assert isclose(arrivals[-1].at_s, 4000 / 5.0, rel_tol=0.05)
    assert min(gaps_s) >= 0
    # In a Poisson stream as many gaps lie above mean x ln 2 as below.
    assert isclose(sorted(gaps_s)[2000], 0.2 * 0.693, rel_tol=0.1)


def test_one_arrival_in_ten_is_cancelled_within_the_time_given() -> None:
    arrivals = MIX.arrivals(4000, load="x", per_s=5.0, cancel_within_s=1.5)
    patience_s = [a.cancel_after_s for a in arrivals if a.cancel_after_s is not None]

    assert isclose(len(patience_s), 400, rel_tol=0.15)
    assert 0 <= min(patience_s) < 0.1
    assert 1.4 < max(patience_s) <= 1.5


def test_a_dump_is_one_persons_and_can_be_coalesced() -> None:
    dumped = MIX.dump(40, load="x")

    assert all(is_dumped(request) for request in dumped)
    assert not any(is_dumped(request) for request in MIX.draw(40, load="x"))
    assert len({parameters_of(request) for request in dumped}) == 1
    assert len({request.seed for request in dumped}) == 40


def test_the_warm_up_meets_every_sampler_with_guidance_and_without() -> None:
    kinds = {(request.sampler, request.guidance_scale > 1) for request in MIX.warm_up()}

    assert kinds == {(sampler, guided) for sampler in SAMPLERS for guided in (True, False)}
