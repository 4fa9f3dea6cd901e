"""The order of faults is the seed's: a run that failed can be had again."""

import subprocess
import sys
from itertools import islice

import pytest

from tests.chaos.faults import make_fault
from tests.chaos.schedule import FILES, KINDS, LEASE_S, S3, plan_faults, plan_run, storages_of
from tests.trial import PROJECT


def test_a_seed_is_the_same_faults_at_the_same_moments_in_every_process() -> None:
    words = ["--plan", "--seed", "5", "--minutes", "3", "--storage", "files"]
    told = [
        subprocess.run(
            [sys.executable, "-m", "tests.chaos", *words],
            cwd=PROJECT,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]
    for planned in plan_run(5, storage=FILES, seconds=180):
        assert str(planned) in told[0]


def test_another_seed_is_another_order() -> None:
    kinds = [[one.kind for one in islice(plan_faults(n, storage=FILES), 20)] for n in range(4)]
    assert len({tuple(one) for one in kinds}) == 4


def test_a_longer_run_begins_as_the_short_one() -> None:
    short, long = (plan_run(3, storage=FILES, seconds=seconds) for seconds in (120, 600))
    assert long[: len(short)] == short
    assert len(long) > len(short)


@pytest.mark.parametrize("storage", [FILES, S3])
def test_every_kind_of_that_storage_comes_once_a_round(storage: str) -> None:
    wanted = sorted(one.name for one in KINDS.values() if one.storage in ("", storage))
    faults = plan_faults(1, storage=storage)
    for _round in range(3):
        assert sorted(one.kind for one in islice(faults, len(wanted))) == wanted


def test_faults_last_as_long_as_their_kind_says() -> None:
    for planned in islice(plan_faults(2, storage=FILES), 200):
        kind = KINDS[planned.kind]
        assert kind.least_s <= planned.lasts_s <= kind.most_s
        if planned.kind.endswith("_long"):
            assert planned.lasts_s > LEASE_S
        if planned.kind.endswith("_short"):
            assert planned.lasts_s < LEASE_S


def test_every_kind_can_be_made() -> None:
    for storage in (FILES, S3):
        for planned in islice(plan_faults(1, storage=storage), len(KINDS)):
            assert make_fault(None, planned).planned == planned  # type: ignore[arg-type]


def test_a_long_run_has_a_part_with_each_storage() -> None:
    assert storages_of(1, seconds=3600) == (FILES, S3)
    assert storages_of(4, seconds=300) == (FILES,)
    assert storages_of(5, seconds=300) == (S3,)


def test_some_kinds_alone_can_be_asked_for() -> None:
    wanted = ["commits_lost", "kill_worker"]
    faults = list(islice(plan_faults(1, storage=FILES, only=wanted), 10))
    assert {one.kind for one in faults} == set(wanted)
    with pytest.raises(ValueError, match="no fault with images in s3: storage_full"):
        next(plan_faults(1, storage=S3, only=["storage_full"]))
