"""What counts as an attempt, whose clock counts, and what a lost worker costs its owners."""

from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from tests.people import claim, finish, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.clocks import ClockWatch
from webapp.core.models import Notice
from webapp.credits.selectors import get_balance
from webapp.generation.models import Image, QueueShare
from webapp.generation.queueing import services, sweeping
from webapp.generation.queueing.claims import BLIND_LOSSES, begin_drawings
from webapp.generation.queueing.sweeping import Sweeper
from webapp.operations.audit import find_violations


def lose_worker() -> None:
    """The worker is killed: every lease ends, and is swept."""
    Image.objects.filter(state="running").update(lease_until=timezone.now() - timedelta(hours=1))
    sweeping.return_ended_leases()


def test_three_kills_fail_what_was_drawn_and_not_what_was_only_claimed(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    submit(bob, offered_model, count=6)
    for _kill in range(3):
        claimed = [claim(offered_model) for _image in range(7)]
        (hers,) = (one for one in claimed if one.owner_id == alice.pk)
        begin_drawings(leases={hers.image_id: hers.lease_token})
        lose_worker()
    assert set(Image.objects.filter(owner=alice).values_list("state", "failure_code")) == {
        ("failed", "worker_lost")
    }
    assert set(Image.objects.filter(owner=bob).values_list("state", "attempt")) == {("queued", 0)}
    assert not list(find_violations())


def test_an_image_that_was_drawn_when_two_workers_stopped_is_drawn_alone_the_third_time(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    alone = []
    for _kill in range(2):
        alone.append(claim(offered_model, begin=True).alone)
        lose_worker()
    third = claim(offered_model, begin=True)
    assert [*alone, third.alone] == [False, False, True]
    assert third.attempt == 3
    assert finish(third)


def test_an_image_that_stops_workers_before_its_beginning_is_seen_is_drawn_alone_too(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    for _kill in range(BLIND_LOSSES):
        assert not claim(offered_model).alone
        lose_worker()
    assert claim(offered_model).alone


def test_a_drawing_lost_with_its_engine_counts_as_one_lost_with_its_worker_but_comes_back_at_once(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    for count in (1, 2):
        lost = claim(offered_model, begin=True)
        lease = {"image_id": lost.image_id, "lease_token": lost.lease_token}
        assert sweeping.return_lost_drawing(**lease)
        assert not sweeping.return_lost_drawing(**lease), "the answer to the first was lost"
        image = Image.objects.get()
        assert (image.state, image.attempt, image.lost_leases) == ("queued", count, count)
    last = claim(offered_model, begin=True)
    assert last.alone
    assert sweeping.return_lost_drawing(image_id=last.image_id, lease_token=last.lease_token)
    image = Image.objects.get()
    assert (image.state, image.failure_code) == ("failed", "worker_lost")
    assert get_balance(user=alice).available_ucr == 200_000_000
    assert not list(find_violations())


def test_an_image_that_was_only_claimed_loses_no_attempt_with_the_engine(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    lost = claim(offered_model)
    assert sweeping.return_lost_drawing(image_id=lost.image_id, lease_token=lost.lease_token)
    image = Image.objects.get()
    assert (image.state, image.attempt, image.lost_leases) == ("queued", 0, 1)


def test_what_is_somebody_elses_by_now_is_not_taken_back(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    lost = claim(offered_model)
    lose_worker()
    claim(offered_model, worker="worker-2", begin=True)
    assert not sweeping.return_lost_drawing(image_id=lost.image_id, lease_token=lost.lease_token)
    assert Image.objects.get().state == "running"


def test_only_a_drawing_that_began_is_taken_from_the_count_when_given_back(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    for begin in (True, False):
        services.give_back_image(claim=claim(offered_model, begin=begin))
        assert Image.objects.get().attempt == 0
    assert claim(offered_model, begin=True).attempt == 1


def test_an_owner_whose_worker_was_lost_is_counted_once_in_the_fair_shares(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    """Hers was claimed first; lost and drawn again, it may not put the rest behind all of his."""
    submit(alice, offered_model, count=2)
    submit(bob, offered_model, count=2)
    first = claim(offered_model)
    lose_worker()
    share = QueueShare.objects.get(owner_id=first.owner_id)
    assert (share.served_cost, share.queued) == (0, 2)
    owners = [claim(offered_model).owner_id for _turn in range(4)]
    assert owners[0] == first.owner_id
    assert owners[1] != first.owner_id
    assert set(QueueShare.objects.values_list("served_cost", flat=True)) == {2 * 64 * 64 * 4}


@pytest.mark.parametrize("ahead_s", [-120, 120])
def test_a_worker_whose_clock_is_wrong_takes_leases_of_the_right_length(
    ahead_s: int, alice: User, offered_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = timezone.now

    def wrong() -> datetime:
        return right() + timedelta(seconds=ahead_s)

    monkeypatch.setattr(timezone, "now", wrong)
    submit(alice, offered_model)
    claimed = claim(offered_model)
    assert sweeping.return_ended_leases() == 0, "nor does it take others' leases back"
    until = Image.objects.values_list("lease_until", flat=True).get(pk=claimed.image_id)
    assert until is not None
    assert 0 < (until - right()).total_seconds() <= settings.LEASE_S


def test_a_wrong_clock_is_told_once_and_withdrawn_when_it_is_right(db: None) -> None:
    ahead_s = 90.0
    watch = ClockWatch(host="node-1", clock_s=lambda: timezone.now().timestamp() + ahead_s)
    watch.look()
    watch.look()
    (notice,) = Notice.objects.all()
    assert notice.sentence == "The clock of node-1 is 90 seconds ahead. Set it right."
    assert notice.times == 1
    ahead_s = -1.0
    watch.look()
    assert not Notice.objects.exists()
    ahead_s = -30.0
    watch.look()
    assert "30 seconds behind" in Notice.objects.get().sentence
    ahead_s = 0.0
    ClockWatch(host="node-1").look()
    assert not Notice.objects.exists(), "a worker that starts anew withdraws what stands"


class Clock:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_after_the_database_was_away_workers_get_the_time_of_a_renewal(
    alice: User, offered_model: DiffusionModel
) -> None:
    clock = Clock()
    sweeper = Sweeper(clock)

    def sweep_for(seconds: int) -> int:
        moved = 0
        for _second in range(seconds):
            clock.now_s += 1
            moved += sweeper.sweep()
        return moved

    submit(alice, offered_model)
    claim(offered_model, begin=True)
    sweep_for(20)
    clock.now_s += settings.LEASE_S * 2  # nobody was answered, no lease could be renewed
    Image.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert sweep_for(settings.LEASE_S // 4) == 0
    assert Image.objects.get().state == "running"
    assert sweep_for(settings.LEASE_S) == 1, "its worker is dead"
    Image.objects.update(state="queued")
    claim(offered_model)
    Image.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert sweep_for(1) == 1, "while all is well it is taken at once"
    assert get_balance(user=alice).held_ucr
