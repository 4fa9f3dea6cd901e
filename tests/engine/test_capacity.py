"""The row cap goes where more rows still make the device faster, and no further."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from worker.engine.capacity import FIRST_CAP, FORGET_AFTER, SHAPES_KEPT, RowCap
from worker.engine.runner import CallWay


def run(cap: RowCap, seconds_for: Callable[[int], float], *, calls: int = 40) -> int:
    """Calls as full as allowed; returns the cap reached."""
    for _ in range(calls):
        rows = cap.cap("shape")
        cap.note("shape", rows=rows, seconds=seconds_for(rows))
    return cap.cap("shape")


def test_a_device_with_room_gets_as_many_rows_as_are_allowed() -> None:
    assert run(RowCap(32), lambda _rows: 1.0) == 32


def test_a_device_that_is_full_at_one_row_keeps_calls_small() -> None:
    cap = RowCap(32)
    for rows in (1, 2) * 5:  # light load shows small calls first
        cap.note("shape", rows=rows, seconds=float(rows))
    assert run(cap, float) == 1


def test_the_cap_stops_where_twice_the_rows_take_twice_the_time() -> None:
    assert run(RowCap(32), lambda rows: max(1.0, rows / 8)) == 8


def test_a_first_slow_call_of_a_size_does_not_count_for_ever() -> None:
    cap = RowCap(32)
    cap.note("shape", rows=FIRST_CAP, seconds=100.0)
    assert run(cap, lambda _rows: 1.0, calls=80) == 32


def test_a_larger_size_is_tried_again_after_a_while() -> None:
    cap = RowCap(32)
    assert run(cap, float) <= FIRST_CAP
    reached = [run(cap, lambda _rows: 1.0, calls=1) for _ in range(2 * FORGET_AFTER)]
    assert max(reached) == 32


def test_running_out_of_memory_halves_the_cap_for_a_while() -> None:
    cap = RowCap(32)
    cap.note_out_of_memory("shape", rows=6)
    assert run(cap, lambda _rows: 1.0) == 3
    assert cap.cap("another shape") == FIRST_CAP
    assert run(cap, lambda _rows: 1.0, calls=FORGET_AFTER) > 3


def test_memory_that_is_measured_bounds_the_cap_while_it_is_so() -> None:
    cap = RowCap(32)
    cap.note_memory("shape", 2)
    assert run(cap, lambda _rows: 1.0) == 2
    cap.note_memory("shape", None)
    assert run(cap, lambda _rows: 1.0) == 32


def test_a_size_with_a_graph_is_not_held_against_one_without() -> None:
    """The device gains from rows up to 16, and a graph makes any call twice as fast: the first size
    that has one looks better than every larger one has looked so far."""
    cap = RowCap(32)
    calls = dict.fromkeys((2, 4, 8, 16, 32), 0)
    for _ in range(600):
        rows = cap.cap("shape")
        calls[rows] += 1
        way: CallWay = "graph" if calls[rows] > 50 else "eager"
        seconds = max(1.0, rows / 16) / (2 if way == "graph" else 1)
        cap.note("shape", rows=rows, seconds=seconds, way=way)
    assert cap.cap("shape") == 16


def test_shapes_that_nobody_asks_for_any_more_are_forgotten() -> None:
    cap = RowCap(32)
    for number in range(3 * SHAPES_KEPT):
        cap.note(number, rows=2, seconds=1.0)
    assert len(cap._shapes) == SHAPES_KEPT


@given(st.lists(st.tuples(st.integers(1, 40), st.floats(0, 10)), max_size=60), st.integers(1, 64))
def test_the_cap_is_never_below_one_nor_above_the_most(
    calls: list[tuple[int, float]], most: int
) -> None:
    cap = RowCap(most)
    for rows, seconds in calls:
        cap.note("shape", rows=rows, seconds=seconds)
        assert 1 <= cap.cap("shape") <= most
