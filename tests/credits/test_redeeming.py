"""Codes are redeemed once: who may, how often it may be tried, and who wins a race for one."""

from datetime import date, datetime, timedelta
from functools import partial

import pytest
from django.conf import LazySettings
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from tests.credits.code_batches import CREDIT, have, make_batch, texts
from tests.credits.races import race
from tests.pages import serve_plain_static
from tests.people import make_user
from webapp.accounts.models import User
from webapp.core.errors import Conflict, InvalidInput, TooMany
from webapp.credits import codes, ledger
from webapp.credits.models import Code, CodeBatch, CodeUse, Entry, Transaction

# -- Redeeming


def test_a_code_gives_its_credits_once(alice: User, charlie: User) -> None:
    (text,) = texts(make_batch(charlie))
    assert codes.redeem_code(user=alice, text=text.lower()) == 5 * CREDIT
    assert have(alice) == 5
    entry = Entry.objects.filter(account__user=alice).latest("id")
    assert (entry.transaction.kind, entry.amount_ucr) == (Transaction.Kind.CODE, 5 * CREDIT)
    use = CodeUse.objects.get()
    assert (use.transaction, use.account.user) == (entry.transaction, alice)
    assert use.code.uses_left == 0


def test_a_code_that_was_redeemed_by_you_says_so(alice: User, charlie: User) -> None:
    for uses in (1, 2):
        (text,) = texts(make_batch(charlie, uses_per_code=uses))
        codes.redeem_code(user=alice, text=text)
        with pytest.raises(Conflict, match="You have redeemed this code already"):
            codes.redeem_code(user=alice, text=text)
    assert have(alice) == 10
    assert [code.uses_left for code in Code.objects.order_by("pk")] == [0, 1]


def test_a_code_that_was_undone_cannot_be_redeemed_again(alice: User, charlie: User) -> None:
    (text,) = texts(make_batch(charlie, uses_per_code=2))
    codes.redeem_code(user=alice, text=text)
    ledger.reverse(
        transaction_id=CodeUse.objects.get().transaction_id, actor=charlie, reason="by mistake"
    )
    with pytest.raises(Conflict, match="already"):
        codes.redeem_code(user=alice, text=text)
    assert have(alice) == 0


def test_a_code_that_is_used_up_says_so(alice: User, bob: User, charlie: User) -> None:
    (text,) = texts(make_batch(charlie))
    codes.redeem_code(user=alice, text=text)
    with pytest.raises(Conflict, match="used up"):
        codes.redeem_code(user=bob, text=text)
    assert have(bob) == 0


def test_an_unknown_code_says_so(alice: User, charlie: User) -> None:
    make_batch(charlie)
    with pytest.raises(InvalidInput, match="no such code"):
        codes.redeem_code(user=alice, text="0" * 26)


def test_an_expired_code_says_which_day_was_its_last(alice: User, charlie: User) -> None:
    batch = make_batch(charlie, expires_at=timezone.now() + timedelta(hours=1))
    CodeBatch.objects.update(expires_at=timezone.now() - timedelta(days=2))
    day = (timezone.localdate() - timedelta(days=2)).isoformat()
    with pytest.raises(Conflict, match=f"expired; its last day was {day}"):
        codes.redeem_code(user=alice, text=texts(batch)[0])
    assert have(alice) == 0


def test_the_last_day_is_the_one_before_midnight_where_the_studio_is(charlie: User) -> None:
    with timezone.override("Asia/Seoul"):
        midnight = timezone.make_aware(datetime(2040, 3, 2))  # noqa: DTZ001 - in Seoul
        batch = make_batch(charlie, expires_at=midnight)
        assert codes.last_day(batch) == date(2040, 3, 1)
    assert codes.last_day(make_batch(charlie)) is None


def test_a_code_is_good_until_it_expires(alice: User, charlie: User) -> None:
    batch = make_batch(charlie, expires_at=timezone.now() + timedelta(hours=1))
    assert codes.redeem_code(user=alice, text=texts(batch)[0])


@pytest.mark.parametrize(
    ("limit", "sentence"), [(1, "Each person can redeem only one"), (2, "2 codes of")]
)
def test_one_person_redeems_no_more_codes_of_a_batch_than_allowed(
    alice: User, bob: User, charlie: User, limit: int, sentence: str
) -> None:
    batch = make_batch(charlie, count=3, per_user_limit=limit)
    for text in texts(batch)[:limit]:
        codes.redeem_code(user=alice, text=text)
    with pytest.raises(Conflict, match=sentence):
        codes.redeem_code(user=alice, text=texts(batch)[limit])
    assert have(alice) == 5 * limit
    assert codes.redeem_code(user=bob, text=texts(batch)[limit])  # the use was not lost


def test_a_batch_limits_only_its_own_codes(alice: User, charlie: User) -> None:
    for _batch in range(2):
        codes.redeem_code(user=alice, text=texts(make_batch(charlie))[0])
    assert have(alice) == 10


def test_the_database_refuses_a_second_use_by_the_same_person(alice: User, charlie: User) -> None:
    (text,) = texts(make_batch(charlie))
    codes.redeem_code(user=alice, text=text)
    use = CodeUse.objects.get()
    posted = Transaction.objects.get(kind="grant", entries__account=use.account)
    with pytest.raises(IntegrityError, match="code_once_per_person"):
        CodeUse.objects.create(code=use.code, account=use.account, transaction=posted)


@pytest.mark.usefixtures("valkey_is_empty")
# -- How often it may be tried


def test_a_person_tries_ten_codes_an_hour(alice: User, bob: User) -> None:
    for _try in range(10):
        codes.count_redeem_attempt(user=alice, address="192.0.2.1")
    with pytest.raises(TooMany, match="Try again in 60 minutes"):
        codes.count_redeem_attempt(user=alice, address="192.0.2.1")
    codes.count_redeem_attempt(user=bob, address="192.0.2.1")


@pytest.mark.usefixtures("valkey_is_empty")
def test_an_address_tries_thirty_codes_an_hour(db: None) -> None:
    for number in range(3):
        user = make_user(f"u{number}")
        for _try in range(10):
            codes.count_redeem_attempt(user=user, address="192.0.2.1")
    other = make_user("other")
    with pytest.raises(TooMany):
        codes.count_redeem_attempt(user=other, address="192.0.2.1")
    codes.count_redeem_attempt(user=other, address="192.0.2.2")


@pytest.mark.usefixtures("valkey_is_empty")
def test_a_class_behind_one_address_redeems_as_many_codes_as_it_has(
    charlie: User, settings: LazySettings
) -> None:
    serve_plain_static(settings)
    codes_of_the_class = texts(make_batch(charlie, count=31))
    for number, text in enumerate(codes_of_the_class):
        client = Client()
        client.force_login(make_user(f"u{number}"))
        assert client.post("/credits/redeem/", {"code": text}).status_code == 302
    assert CodeUse.objects.count() == 31


@pytest.mark.django_db(transaction=True)
def test_sixteen_people_race_for_one_single_use_code_and_one_wins(charlie: User) -> None:
    (text,) = texts(make_batch(charlie))
    people = [make_user(f"u{number}") for number in range(16)]
    outcomes = race([partial(codes.redeem_code, user=user, text=text) for user in people])
    assert sorted(str(one) for one in outcomes) == sorted(
        [str(5 * CREDIT), *["This code is used up."] * 15]
    )
    assert sum(have(user) for user in people) == 5
    assert CodeUse.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("uses", [1, 16])
def test_one_person_redeems_one_code_sixteen_times_at_once_and_gets_it_once(
    alice: User, charlie: User, uses: int
) -> None:
    (text,) = texts(make_batch(charlie, uses_per_code=uses))
    outcomes = race([lambda: codes.redeem_code(user=alice, text=text)] * 16)
    assert outcomes.count(5 * CREDIT) == 1
    assert have(alice) == 5
    assert Code.objects.get().uses_left == uses - 1


@pytest.mark.django_db(transaction=True)
def test_one_person_redeems_all_codes_of_a_batch_at_once_and_gets_one(
    alice: User, charlie: User
) -> None:
    batch = make_batch(charlie, count=16)
    outcomes = race([partial(codes.redeem_code, user=alice, text=text) for text in texts(batch)])
    assert outcomes.count(5 * CREDIT) == 1
    assert have(alice) == 5
    assert Code.objects.filter(uses_left=1).count() == 15


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_is_revoked_while_people_redeem_gives_nothing_afterwards(
    charlie: User,
) -> None:
    batch = make_batch(charlie, uses_per_code=16)
    (text,) = texts(batch)
    people = [make_user(f"u{number}") for number in range(15)]

    def revoke() -> int:
        codes.revoke_batch(batch_id=batch.pk, actor=charlie, reason="leaked")
        return CodeUse.objects.count()

    redeems = [partial(codes.redeem_code, user=user, text=text) for user in people]
    *outcomes, used_when_revoked = race([*redeems, revoke])
    assert CodeUse.objects.count() == used_when_revoked == outcomes.count(5 * CREDIT)
