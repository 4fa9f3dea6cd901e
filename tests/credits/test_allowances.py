"""The monthly allowance: once per person and month, whatever happens to the clock."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from tests.credits.races import race
from tests.people import make_user
from webapp.accounts.models import User, UserGroup
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import allowances, ledger, tasks
from webapp.credits.allowances import give_allowances
from webapp.credits.models import Account, Transaction
from webapp.credits.selectors import get_balance

CREDIT = UCR_PER_CREDIT
NEXT_YEAR = datetime.now(UTC).year + 1


def on(day: int, month: int = 3, hour: int = 12) -> datetime:
    return datetime(NEXT_YEAR, month, day, hour, tzinfo=UTC)


def make_group(allowance: str = "add", credits: int = 30, name: str = "club") -> UserGroup:
    return UserGroup.objects.create(name=name, allowance=allowance, allowance_ucr=credits * CREDIT)


def join(group: UserGroup | None, *people: User) -> None:
    User.objects.filter(pk__in=[user.pk for user in people]).update(group=group)


def spend(user: User, credits: int) -> None:
    image_id = uuid.uuid4()
    ledger.hold_for_images(user=user, amounts_ucr={image_id: credits * CREDIT})
    ledger.capture(image_id=image_id)


def have(user: User) -> int:
    return get_balance(user=user).available_ucr // CREDIT


def test_everybody_in_a_group_with_an_allowance_gets_it(alice: User, bob: User) -> None:
    join(make_group(), alice)
    assert give_allowances(now=on(1)) == 1
    assert (have(alice), have(bob)) == (230, 200)
    posted = Transaction.objects.filter(entries__account__user=alice).latest("id")
    assert (posted.kind, posted.idempotency_key) == (
        Transaction.Kind.ALLOWANCE,
        f"monthly:{alice.pk}:{NEXT_YEAR}-03",
    )


def test_a_group_without_an_allowance_gets_nothing(alice: User) -> None:
    join(make_group("none", 0), alice)
    assert give_allowances(now=on(1)) == 0
    assert have(alice) == 200


def test_a_second_run_in_the_month_gives_nothing_and_the_next_month_gives_again(
    alice: User,
) -> None:
    join(make_group(), alice)
    assert [give_allowances(now=on(day)) for day in (1, 1, 2, 31)] == [1, 0, 0, 0]
    assert give_allowances(now=on(1, month=4)) == 1
    assert have(alice) == 260


def test_a_clock_that_goes_back_and_forth_gives_no_month_twice(alice: User) -> None:
    join(make_group(), alice)
    for moment in (on(31), on(1, 4), on(31), on(1, 4), on(30, 4), on(1), on(1, 4)):
        give_allowances(now=moment)
    assert have(alice) == 260


def test_a_clock_that_goes_back_gives_no_month_before_the_person_was_there(alice: User) -> None:
    join(make_group(), alice)
    assert give_allowances(now=datetime(2001, 1, 15, tzinfo=UTC)) == 0


def test_a_clock_that_goes_back_gives_no_month_before_the_group_was_there(alice: User) -> None:
    User.objects.update(date_joined=datetime(2000, 1, 1, tzinfo=UTC))
    join(make_group(), alice)
    assert give_allowances(now=datetime(2001, 1, 15, tzinfo=UTC)) == 0


def test_a_month_in_which_nothing_ran_is_not_made_up_for(alice: User) -> None:
    join(make_group(), alice)
    give_allowances(now=on(1, month=3))
    assert give_allowances(now=on(17, month=5)) == 1
    assert have(alice) == 260


def test_a_scheduler_that_was_away_on_the_first_gives_it_later(alice: User) -> None:
    join(make_group(), alice)
    assert give_allowances(now=on(23)) == 1


def test_months_begin_where_the_studio_is(alice: User, settings: LazySettings) -> None:
    settings.TIME_ZONE = "Asia/Seoul"
    join(make_group(), alice)
    assert give_allowances(now=on(31, hour=14)) == 1
    assert give_allowances(now=on(31, hour=15)) == 1  # midnight there: April
    keys = Transaction.objects.filter(kind="allowance").values_list("idempotency_key", flat=True)
    assert {key[-7:] for key in keys} == {f"{NEXT_YEAR}-03", f"{NEXT_YEAR}-04"}


def test_without_a_moment_the_databases_clock_counts(alice: User) -> None:
    join(make_group(), alice)
    assert give_allowances() == 1
    key = Transaction.objects.get(kind="allowance").idempotency_key
    assert key.endswith(f":{datetime.now(UTC):%Y-%m}")


def test_another_group_in_the_middle_of_the_month_gives_nothing_more(alice: User) -> None:
    join(make_group(credits=30), alice)
    give_allowances(now=on(1))
    join(make_group(credits=90, name="more"), alice)
    assert give_allowances(now=on(15)) == 0
    assert give_allowances(now=on(1, month=4)) == 1
    assert have(alice) == 320


def test_who_joins_a_group_in_the_middle_of_the_month_gets_the_whole_month(alice: User) -> None:
    group = make_group()
    assert give_allowances(now=on(1)) == 0
    join(group, alice)
    assert give_allowances(now=on(15)) == 1


def test_another_amount_counts_from_the_next_month(alice: User) -> None:
    group = make_group(credits=30)
    join(group, alice)
    give_allowances(now=on(1))
    UserGroup.objects.update(allowance_ucr=50 * CREDIT)
    assert give_allowances(now=on(2)) == 0
    give_allowances(now=on(1, month=4))
    assert have(alice) == 280


def test_a_suspended_person_gets_nothing_until_they_are_back(alice: User) -> None:
    join(make_group(), alice)
    User.objects.update(is_active=False)
    assert give_allowances(now=on(1)) == 0
    User.objects.update(is_active=True)
    assert give_allowances(now=on(9)) == 1


def test_somebody_whose_account_is_closed_is_passed_over(alice: User, bob: User) -> None:
    join(make_group(), alice, bob)
    ledger.close_account(user=alice)
    assert give_allowances(now=on(1)) == 1
    assert have(bob) == 230


def test_filling_up_gives_what_is_missing(alice: User) -> None:
    join(make_group("fill", 100), alice)
    spend(alice, 140)
    assert give_allowances(now=on(1)) == 1
    assert have(alice) == 100


def test_filling_up_counts_what_is_held_as_there(alice: User) -> None:
    join(make_group("fill", 100), alice)
    spend(alice, 120)
    image_id = uuid.uuid4()
    ledger.hold_for_images(user=alice, amounts_ucr={image_id: 70 * CREDIT})
    assert give_allowances(now=on(1)) == 1
    assert have(alice) == 30
    ledger.release(image_id=image_id)
    assert have(alice) == 100


def test_who_has_plenty_on_the_first_is_filled_up_once_there_is_room(alice: User) -> None:
    join(make_group("fill", 100), alice)
    assert give_allowances(now=on(1)) == 0
    assert not Transaction.objects.filter(kind="allowance").exists()
    spend(alice, 100)
    assert give_allowances(now=on(1)) == 0  # exactly as much: nothing is missing
    spend(alice, 60)
    assert give_allowances(now=on(2)) == 1
    assert have(alice) == 100


def test_filling_up_happens_once_a_month_however_much_is_spent(alice: User) -> None:
    join(make_group("fill", 100), alice)
    spend(alice, 140)
    give_allowances(now=on(1))
    spend(alice, 90)
    assert give_allowances(now=on(2)) == 0
    assert have(alice) == 10
    give_allowances(now=on(1, month=4))
    assert have(alice) == 100


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("allowance", ["add", "fill"])
def test_eight_runs_at_once_give_each_person_one_allowance(
    monkeypatch: pytest.MonkeyPatch, allowance: str
) -> None:
    monkeypatch.setattr(allowances, "PEOPLE_AT_ONCE", 4)
    group = make_group(allowance, 300)
    people = [make_user(f"u{number}", group=group) for number in range(10)]
    given = race([lambda: give_allowances(now=on(1))] * 8)
    assert sum(one for one in given if isinstance(one, int)) == 10
    assert {have(user) for user in people} == {500 if allowance == "add" else 300}


@pytest.mark.django_db(transaction=True)
def test_nobody_spends_between_the_look_at_a_balance_and_its_filling_up(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    join(make_group("fill", 300), alice)
    post = ledger.post_grants

    def spend_and_leave() -> None:
        spend(alice, 10)
        connection.close()

    with ThreadPoolExecutor(1) as pool:

        def post_while_somebody_spends(**asked: Any) -> int:
            spending = pool.submit(spend_and_leave)
            with suppress(TimeoutError):
                spending.result(0.5)
            return post(**asked)

        monkeypatch.setattr(ledger, "post_grants", post_while_somebody_spends)
        assert give_allowances(now=on(1)) == 1
    posted = Transaction.objects.get(kind="allowance").entries.get(account__user=alice)
    assert posted.balance_after_ucr == 300 * CREDIT
    assert have(alice) == 290


def test_ten_thousand_people_get_it_in_few_queries(db: None) -> None:
    group = make_group()
    people = User.objects.bulk_create(
        [User(email=f"u{number}@example.org", group=group) for number in range(10_000)]
    )
    open_accounts(people)
    with CaptureQueriesContext(connection) as queries:
        assert give_allowances(now=on(1)) == 10_000
    assert len(queries) <= 260  # twelve or so for each of twenty chunks of five hundred
    with CaptureQueriesContext(connection) as queries:
        assert give_allowances(now=on(1)) == 0
    assert len(queries) <= 22  # people in twenty chunks


def open_accounts(people: list[User]) -> None:
    """Opened here: `bulk_create` sends no signal."""
    Account.objects.bulk_create([Account(kind="user", user=user) for user in people])


def test_the_hourly_task_gives_the_allowances(alice: User) -> None:
    join(make_group(), alice)
    tasks.give_allowances()
    tasks.give_allowances()
    assert have(alice) == 230


def test_the_hourly_task_is_put_off_where_the_database_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> int:
        raise OperationalError("no server")

    monkeypatch.setattr(allowances, "give_allowances", away)
    tasks.give_allowances()
    assert "the allowances are put off" in caplog.text
