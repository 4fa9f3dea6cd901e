"""The loads: how many ask at once, when they come and when they leave."""

import pytest

from tests.bench.engine.loads import BenchFailedError, closed_loop, dump, open_loop
from tests.bench.engine.requests import Arrival, Mix, is_dumped
from tests.bench.engine.systems import PipeSystem
from tests.bench_engine.conftest import TimerSystem


def test_a_closed_loop_keeps_so_many_busy_and_draws_everything(mix: Mix) -> None:
    system = TimerSystem(0.05)
    requests = mix.draw(10, load="x")
    run = closed_loop(system, requests, clients=3, device="cpu")

    assert system.most_at_once == 3
    assert {ticket.request for ticket in run.tickets} == set(requests)
    assert 0.2 <= run.wall_s < 0.5  # ten by threes: four times 0.05 s


def test_an_open_loop_does_not_wait_for_pictures(mix: Mix) -> None:
    system = TimerSystem(0.5)
    arrivals = [Arrival(0.01 * n, request) for n, request in enumerate(mix.draw(10, load="x"))]
    open_loop(system, arrivals, device="cpu")

    assert system.most_at_once == 10


def test_an_arrival_is_cancelled_in_its_time_and_others_are_not(mix: Mix) -> None:
    system = TimerSystem(0.3)
    patient, leaver, too_late = mix.draw(3, load="x")
    arrivals = [Arrival(0.0, patient), Arrival(0.01, leaver, 0.1), Arrival(0.02, too_late, 0.4)]
    run = open_loop(system, arrivals, device="cpu")

    assert system.cancelled == [leaver.request_id]
    assert {ticket.request for ticket in run.drawn} == {patient, too_late}


def test_light_users_ask_for_one_picture_after_the_other(mix: Mix) -> None:
    system = TimerSystem(0.1)
    light = mix.draw(6, load="light", owners=3)
    run = dump(system, mix.dump(5, load="x"), light, device="cpu")

    assert system.most_at_once == 5 + 3
    assert sum(is_dumped(ticket.request) for ticket in run.tickets) == 5
    assert len(run.drawn) == 11


def test_a_system_that_fails_a_request_ends_the_bench(mix: Mix) -> None:
    def broken(*_given: object, **_options: object) -> None:
        raise RuntimeError("no picture today")

    broken.scheduler = None  # type: ignore[attr-defined]
    system = PipeSystem("b0", broken)

    with pytest.raises(BenchFailedError, match="b0 did not draw x-0"):
        closed_loop(system, mix.draw(1, load="x"), clients=1, device="cpu")
    system.close()
