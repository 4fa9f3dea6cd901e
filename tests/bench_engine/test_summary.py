"""The bench's arithmetic."""

from math import isnan

import pytest

from tests.bench.engine.loads import open_loop
from tests.bench.engine.requests import Arrival, Mix
from tests.bench.engine.summary import deviation, overhead_pct, percentile, summarise
from tests.bench_engine.conftest import TimerSystem


def test_a_percentile_may_fall_between_two_values() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 50) == 2.5
    assert percentile(range(101), 95) == 95
    assert percentile([1.0, 2.0], 95) == pytest.approx(1.95)
    assert percentile([7.0], 95) == 7.0


def test_nothing_has_no_percentile() -> None:
    assert isnan(percentile([], 50))


def test_a_machine_that_slows_down_on_the_way_costs_no_overhead() -> None:
    pace = [1.0, 2.0, 4.0]
    assert overhead_pct([1.02 * s for s in pace], pace) == pytest.approx(2.0)


def test_one_disturbed_pair_does_not_decide_the_overhead() -> None:
    assert overhead_pct([1.02, 9.0, 1.02], [1.0, 1.0, 1.0]) == pytest.approx(2.0)


def test_a_deviation_is_relative_to_full_scale() -> None:
    largest, share = deviation([bytes([0, 255]), bytes([7, 7])], [bytes([51, 255]), bytes([7, 7])])

    assert largest == pytest.approx(0.2)
    assert share == 0.25


def test_pictures_of_two_sizes_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different sizes"):
        deviation([b"abc"], [b"ab"])


def test_cancelled_requests_count_neither_as_images_nor_in_latencies(mix: Mix) -> None:
    first, second, third = mix.draw(3, load="x")
    arrivals = [Arrival(0.0, first), Arrival(0.0, second, 0.05), Arrival(0.1, third)]
    run = open_loop(TimerSystem(0.2), arrivals, device="cpu")
    summary = summarise([run])

    assert (summary.images, summary.cancelled) == (2, 1)
    assert summary.images_per_s == pytest.approx(2 / run.wall_s)
    assert 0.2 <= summary.p50_s <= summary.p95_s < 2.0
    assert summary.cancel_p95_s is not None
    assert summary.cancel_p95_s < 0.15
