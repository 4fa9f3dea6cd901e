"""The fair queue serves the least served owner first and each owner in order."""

from hypothesis import given
from hypothesis import strategies as st

from worker.engine.scheduler import FairQueue


def drained(queue: FairQueue) -> list[str]:
    order = []
    while (request_id := queue.pop()) is not None:
        order.append(request_id)
    return order


def push_all(queue: FairQueue, *entries: tuple[str, str, int]) -> None:
    for request_id, owner_id, cost in entries:
        queue.push(request_id=request_id, owner_id=owner_id, cost=cost)


def test_owners_take_turns_and_each_is_served_in_order() -> None:
    queue = FairQueue()
    push_all(queue, ("a1", "a", 1), ("a2", "a", 1), ("a3", "a", 1), ("b1", "b", 1), ("b2", "b", 1))
    assert drained(queue) == ["a1", "b1", "a2", "b2", "a3"]


def test_a_costly_picture_counts_for_as_many_cheap_ones() -> None:
    queue = FairQueue()
    push_all(queue, ("a1", "a", 3), ("a2", "a", 3))
    push_all(queue, *((f"b{number}", "b", 1) for number in range(1, 5)))
    assert drained(queue) == ["a1", "b1", "b2", "b3", "a2", "b4"]


def test_staying_away_saves_up_no_claim() -> None:
    queue = FairQueue()
    push_all(queue, *((f"a{number}", "a", 1) for number in range(10)))
    for _ in range(6):
        queue.pop()
    push_all(queue, *((f"b{number}", "b", 1) for number in range(3)))
    assert drained(queue)[:4] == ["b0", "a6", "b1", "a7"]


def test_coming_back_does_not_wipe_what_was_served() -> None:
    queue = FairQueue()
    push_all(queue, ("a1", "a", 100), ("b1", "b", 1), ("b2", "b", 1))
    assert queue.pop() == "a1"
    push_all(queue, ("a2", "a", 100))
    assert drained(queue) == ["b1", "b2", "a2"]


def test_a_removed_request_is_not_served_and_costs_nothing() -> None:
    queue = FairQueue()
    push_all(queue, ("a1", "a", 1), ("a2", "a", 1), ("b1", "b", 1))
    assert queue.remove("a1")
    assert not queue.remove("a1")
    assert drained(queue) == ["a2", "b1"]


def test_owners_who_left_are_forgotten() -> None:
    queue = FairQueue()
    for number in range(1000):
        push_all(queue, (f"r{number}", f"owner{number}", 1))
        queue.pop()
    assert len(queue._served) < 5


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), max_size=40))
def test_every_request_is_served_once_and_no_backlogged_owner_falls_behind(
    entries: list[tuple[str, int]],
) -> None:
    queue = FairQueue()
    costs: dict[str, tuple[str, int]] = {}
    for number, (owner, cost) in enumerate(entries):
        costs[str(number)] = (owner, cost)
        queue.push(request_id=str(number), owner_id=owner, cost=cost)
    left = [owner for owner, _ in entries]
    served = dict.fromkeys(left, 0)
    order = []
    while (request_id := queue.pop()) is not None:
        owner, cost = costs[request_id]
        backlogged = {waiting: served[waiting] for waiting in set(left)}
        assert served[owner] == min(backlogged.values())
        served[owner] += cost
        left.remove(owner)
        order.append(request_id)
    assert sorted(order, key=int) == list(costs)
