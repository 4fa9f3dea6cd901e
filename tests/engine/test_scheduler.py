"""The policy: fair by owner, never over the row cap, nobody forgotten."""

from collections.abc import Callable, Hashable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.engine.toy_runner import MODEL, OTHER
from worker.engine.request import ModelSource
from worker.engine.scheduler import Scheduled, Scheduler

CAP = 4


def entry(name: str, *, owner: str = "alice", **changes: Any) -> Scheduled:
    values: dict[str, Any] = {
        "request_id": name,
        "owner_id": owner,
        "model": MODEL,
        "shape": "64x64",
        "rows": 2,
        "pixels": 1,
        "calls_left": 10,
        "since_s": 0.0,
    }
    return Scheduled(**(values | changes))


def scheduler(
    *,
    resident: Callable[[ModelSource], bool] = lambda _model: True,
    has_room: bool = False,
    cap: int = CAP,
) -> Scheduler:
    def row_cap(_shape: Hashable) -> int:
        return cap

    return Scheduler(
        is_resident=resident, has_room_for=lambda _model: has_room, row_cap=row_cap, turn_s=10.0
    )


def admit(policy: Scheduler, now_s: float = 0.0) -> list[str]:
    """Admit, and pretend that each was encoded: its key is its shape."""
    admitted = policy.admit(now_s)
    for one in admitted:
        one.key = one.shape
    return [one.request_id for one in admitted]


def take_call(policy: Scheduler) -> list[str]:
    """One denoiser call; whoever is finished leaves."""
    batch = policy.next_batch()
    for one in batch:
        policy.charge(one)
        if one.calls_left == 0:
            policy.remove(one)
    return [one.request_id for one in batch]


def add_all(policy: Scheduler, *entries: Scheduled) -> None:
    for one in entries:
        policy.add(one)


def test_owners_are_admitted_in_turn_and_each_in_order() -> None:
    policy = scheduler(cap=8)
    add_all(policy, *(entry(f"a{n}") for n in range(4)), entry("b0", owner="bob"))
    assert admit(policy) == ["a0", "b0", "a1", "a2"]


def test_no_more_rows_are_admitted_than_one_call_may_have() -> None:
    policy = scheduler()
    add_all(policy, entry("a0"), entry("a1", rows=1), entry("a2"), entry("a3", rows=1))
    assert admit(policy) == ["a0", "a1"]  # a3 would fit, but a2 is before it


def test_a_single_request_larger_than_the_cap_goes_alone() -> None:
    policy = scheduler(cap=1)
    add_all(policy, entry("a0"), entry("b0", owner="bob"))
    assert admit(policy) == ["a0"]
    assert take_call(policy) == ["a0"]


def test_somebody_new_parks_anothers_second_picture_and_it_goes_on_later() -> None:
    policy = scheduler()
    first, second = entry("a0"), entry("a1")
    add_all(policy, first, second)
    admit(policy)
    take_call(policy)
    policy.add(entry("b0", owner="bob", calls_left=3))
    assert admit(policy) == ["b0"]
    assert [take_call(policy) for _ in range(3)] == [["a0", "b0"]] * 3
    assert admit(policy) == ["a1"]
    assert second.calls_left == 9  # nothing of what it had was lost


def test_nobodys_only_picture_is_parked() -> None:
    policy = scheduler()
    add_all(policy, entry("a0"), entry("b0", owner="bob"), entry("c0", owner="carol"))
    assert admit(policy) == ["a0", "b0"]
    assert policy.waiting == 1


def test_the_least_served_owner_is_admitted_next() -> None:
    policy = scheduler(cap=2)
    add_all(policy, entry("a0", calls_left=5), entry("a1"), entry("b0", owner="bob"))
    assert admit(policy) == ["a0"]
    for _ in range(5):
        take_call(policy)
    assert admit(policy) == ["b0"]


def test_a_costly_picture_counts_for_as_many_cheap_ones() -> None:
    policy = scheduler(cap=2)
    add_all(policy, *(entry(f"a{n}", pixels=3, calls_left=1) for n in range(2)))
    add_all(policy, *(entry(f"b{n}", owner="bob", calls_left=1) for n in range(4)))
    order = []
    while policy:
        admit(policy)
        order += take_call(policy)
    assert order == ["a0", "b0", "b1", "b2", "a1", "b3"]


def test_staying_away_saves_up_no_claim() -> None:
    policy = scheduler(cap=2)
    add_all(policy, *(entry(f"a{n}", calls_left=1) for n in range(6)))
    for _ in range(4):
        admit(policy)
        take_call(policy)
    add_all(policy, *(entry(f"b{n}", owner="bob", calls_left=1) for n in range(3)))
    order = []
    while policy:
        admit(policy)
        order += take_call(policy)
    assert order[:3] in (["a4", "b0", "a5"], ["b0", "a4", "b1"])


def test_coming_back_does_not_wipe_what_was_served() -> None:
    policy = scheduler(cap=2)
    add_all(policy, entry("a0", pixels=100, calls_left=1))
    add_all(policy, *(entry(f"b{n}", owner="bob", calls_left=1) for n in range(3)))
    admit(policy)
    take_call(policy)
    policy.add(entry("a1", calls_left=1))
    order = []
    while policy:
        admit(policy)
        order += take_call(policy)
    assert order == ["b0", "b1", "b2", "a1"]


def test_keys_take_turns_by_the_work_their_owners_had() -> None:
    policy = scheduler()
    add_all(policy, entry("a", calls_left=20), entry("b", owner="bob", shape="wide", pixels=2))
    admit(policy)
    calls = [take_call(policy)[0] for _ in range(9)]
    assert calls.count("a") == 6  # half the pixels, twice the calls


def test_one_owners_many_sizes_get_no_more_than_anothers_one() -> None:
    policy = scheduler()
    add_all(policy, *(entry(f"a{n}", shape=n, calls_left=50) for n in range(5)))
    policy.add(entry("b", owner="bob", calls_left=50))
    admit(policy)
    calls = [take_call(policy)[0] for _ in range(40)]
    assert calls.count("b") == 20


def test_requests_that_go_alone_share_nothing() -> None:
    policy = scheduler()
    add_all(policy, entry("a", alone=True), entry("b", owner="bob"))
    admit(policy)
    assert {tuple(take_call(policy)) for _ in range(4)} == {("a",), ("b",)}


def test_what_is_not_encoded_yet_takes_no_call() -> None:
    policy = scheduler()
    policy.add(entry("a"))
    policy.admit(0.0)
    assert policy.next_batch() == []


def test_a_model_with_room_is_brought_in_at_once() -> None:
    policy = scheduler(resident=lambda model: model == MODEL, has_room=True)
    add_all(policy, entry("a"), entry("b", owner="bob", model=OTHER))
    assert policy.next_model(0.0) == OTHER


def test_a_model_without_room_waits_for_a_turn_or_until_the_others_are_done() -> None:
    policy = scheduler(resident=lambda model: model == MODEL)
    first = entry("a")
    add_all(policy, first, entry("b", owner="bob", model=OTHER))
    assert policy.next_model(9.9) is None
    assert policy.next_model(10.0) == OTHER
    policy.remove(first)
    assert policy.next_model(0.0) == OTHER


def test_a_request_behind_another_models_is_not_held_up() -> None:
    policy = scheduler(resident=lambda model: model == MODEL)
    add_all(policy, entry("other", model=OTHER), entry("mine"))
    assert admit(policy) == ["mine"]


def test_what_loses_its_model_is_parked_and_waits_for_its_turn_from_then_on() -> None:
    present = {MODEL}
    policy = scheduler(resident=lambda model: model in present)
    add_all(policy, entry("a"), entry("b", owner="bob", model=OTHER))
    admit(policy)
    present.clear()
    present.add(OTHER)
    assert admit(policy, now_s=50.0) == ["b"]
    assert policy.next_model(59.0) is None
    assert policy.next_model(60.0) == MODEL


def test_owners_who_left_are_forgotten() -> None:
    policy = scheduler()
    for number in range(1000):
        one = entry(f"r{number}", owner=f"owner{number}")
        policy.add(one)
        policy.remove(one)
    assert not policy._served


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from("abc"),  # owner
        st.sampled_from([1, 2]),  # rows
        st.sampled_from(["small", "wide"]),
        st.integers(1, 6),  # calls
        st.sampled_from([MODEL, OTHER]),
        st.integers(0, 12),  # arrives before this call
    ),
    max_size=24,
)


@given(REQUESTS, st.integers(1, 6))
def test_everybody_is_served_within_the_cap_and_with_one_key_a_call(
    requests: list[tuple[str, int, str, int, ModelSource, int]], cap: int
) -> None:
    present: list[ModelSource] = []
    policy = scheduler(resident=lambda model: model in present, cap=cap)
    coming = [
        (arrives, entry(str(n), owner=owner, rows=rows, shape=(shape, model), calls_left=calls,
                        model=model))
        for n, (owner, rows, shape, calls, model, arrives) in enumerate(requests)
    ]  # fmt: skip
    needed = sum(one.calls_left for _, one in coming)
    for now in range(400):
        for _, one in [pair for pair in coming if pair[0] == now]:
            one.since_s = float(now)
            policy.add(one)
        model = policy.next_model(float(now))
        if model is not None:
            present[:] = [model]
        admit(policy, float(now))
        batch = policy.next_batch()
        assert len({one.key for one in batch}) <= 1
        assert all(one.model in present for one in batch)
        assert sum(one.rows for one in batch) <= cap or len(batch) == 1
        assert len({one.owner_id for one in batch}) >= min(1, len(batch))
        assert bool(batch) == bool(len(policy))  # no call is idle while somebody waits
        needed -= len(batch)
        for one in batch:
            policy.charge(one)
            if one.calls_left == 0:
                policy.remove(one)
    assert needed == 0
    assert len(policy) == 0


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 8)), min_size=4, max_size=30))
def test_nobody_present_falls_behind_by_more_than_a_picture(
    requests: list[tuple[str, int]],
) -> None:
    """Everybody asks at once: at any time the work served differs by one image each at most."""
    policy = scheduler(cap=2)
    for number, (owner, calls) in enumerate(requests):
        policy.add(entry(str(number), owner=owner, calls_left=calls))
    largest = max(calls for _, calls in requests) * 2
    left = [owner for owner, _ in requests]
    served = dict.fromkeys(left, 0)
    while len(policy):
        admit(policy)
        for one in policy.next_batch():
            policy.charge(one)
            served[one.owner_id] += one.rows
            if one.calls_left == 0:
                policy.remove(one)
                left.remove(one.owner_id)
        present = [served[owner] for owner in set(left)]
        assert not present or max(present) - min(present) <= 2 * largest
