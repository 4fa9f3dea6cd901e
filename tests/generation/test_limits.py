"""What a group allows its members: credits a day, images at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from tests.people import claim, finish, make_model, submit
from tests.prices import make_group, make_list
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import TooMany
from webapp.credits import ledger
from webapp.credits.models import Hold
from webapp.credits.selectors import get_balance
from webapp.generation.models import Generation, Image, QueueShare
from webapp.generation.queueing import services
from webapp.operations.audit import find_violations


def join_group(user: User, *, price: str = "1", **limits: int) -> None:
    """The user alone in a group with these limits, that pays this share of the list."""
    user.group = make_group("Guests", **limits)
    user.save()
    make_list(flat="0.2", groups={user.group: price})


def test_a_day_holds_no_more_credits_than_the_group_allows(
    alice: User, offered_model: DiffusionModel
) -> None:
    join_group(alice, daily_spend_ucr=1_000_000)
    submit(alice, offered_model, count=4)
    assert finish(claim(offered_model))
    with pytest.raises(TooMany) as refused:
        submit(alice, offered_model, count=2)
    assert refused.value.sentence == (
        "Your group may spend 1.00 credits a day. 0.80 are spent or held today, and this needs"
        " 0.40. The limit resets at midnight, UTC."
    )
    assert Image.objects.count() == 4
    assert QueueShare.objects.get().queued == 3
    assert get_balance(user=alice).held_ucr == 600_000
    submit(alice, offered_model, count=1)
    assert not list(find_violations())


def test_what_is_not_charged_does_not_count_towards_the_day(
    alice: User, offered_model: DiffusionModel
) -> None:
    join_group(alice, daily_spend_ucr=400_000)
    first = submit(alice, offered_model, count=2)
    services.cancel_generation(owner=alice, generation_id=first.pk)
    submit(alice, offered_model, count=2)
    assert Generation.objects.count() == 2


def test_what_was_refunded_does_not_count_towards_the_day(
    alice: User, charlie: User, offered_model: DiffusionModel
) -> None:
    join_group(alice, daily_spend_ucr=400_000)
    submit(alice, offered_model, count=2)
    drawn = claim(offered_model)
    assert finish(drawn)
    with pytest.raises(TooMany, match=r"0\.40 are spent or held today"):
        submit(alice, offered_model)
    ledger.refund_image(image_id=drawn.image_id, actor=charlie, reason="It was grey.")
    submit(alice, offered_model)
    with pytest.raises(TooMany, match=r"0\.40 are spent or held today"):
        submit(alice, offered_model)


def test_a_new_day_begins_at_midnight_of_the_studios_time_zone(
    alice: User, offered_model: DiffusionModel, settings: LazySettings
) -> None:
    settings.TIME_ZONE = "Asia/Seoul"
    join_group(alice, daily_spend_ucr=200_000)
    submit(alice, offered_model)
    with pytest.raises(TooMany, match=r"resets at midnight, (KST|Asia/Seoul)\."):
        submit(alice, offered_model)
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    Hold.objects.update(created_at=midnight - timedelta(seconds=1))
    submit(alice, offered_model)


def test_a_day_of_zero_credits_lets_nothing_through_but_what_is_free(
    alice: User, offered_model: DiffusionModel
) -> None:
    join_group(alice, daily_spend_ucr=0)
    with pytest.raises(TooMany, match=r"0\.00 credits a day\. 0\.00 are spent"):
        submit(alice, offered_model)
    assert alice.group is not None
    make_list(flat="0.2", groups={alice.group: "0"})
    submit(alice, offered_model)


def test_only_so_many_images_wait_and_develop_at_once_over_all_models(
    alice: User, offered_model: DiffusionModel
) -> None:
    join_group(alice, images_at_once=3)
    other = make_model("other")
    submit(alice, offered_model, count=2)
    claimed = claim(offered_model)
    with pytest.raises(TooMany) as refused:
        submit(alice, other, count=2)
    assert refused.value.sentence == (
        "Your group may have 3 unfinished images at once. There are 2, and this asks for 2 more. "
        "Wait for some to finish."
    )
    assert not Image.objects.filter(model=other).exists()
    assert finish(claimed)
    submit(alice, other, count=2)


def test_each_member_has_the_limits_alone(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    join_group(alice, images_at_once=2, daily_spend_ucr=400_000)
    bob.group = alice.group
    bob.save()
    for user in (alice, bob):
        submit(user, offered_model, count=2)
    assert Image.objects.count() == 4


def test_groups_without_limits_and_people_without_a_group_have_none(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    join_group(alice)
    for user in (alice, bob):
        for _batch in range(3):
            submit(user, offered_model, count=10)
    assert Image.objects.count() == 60


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("price", "limits"),
    [
        ("1", {"daily_spend_ucr": 1_000_000}),
        ("1", {"images_at_once": 5}),
        ("0", {"images_at_once": 5}),
    ],
)
def test_submissions_in_the_same_instant_do_not_exceed_a_limit(
    alice: User, offered_model: DiffusionModel, price: str, limits: dict[str, int]
) -> None:
    join_group(alice, price=price, **limits)
    other = make_model("other")

    def ask(turn: int) -> int:
        try:
            submit(alice, other if turn % 2 else offered_model)
        except TooMany:
            return 0
        finally:
            connection.close()
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(24))) == 5
    assert Image.objects.count() == 5
    assert not list(find_violations())
