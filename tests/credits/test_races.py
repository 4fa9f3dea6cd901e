"""Sixteen connections at once on real PostgreSQL: nothing oversold, one winner, no deadlock."""

import random
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from django.db import connection

from tests.credits.races import THREADS, assert_clean_books, race, won
from tests.people import claim, make_model, make_user, picture_bytes, submit
from webapp.accounts.models import User
from webapp.core.errors import Conflict, InvalidInput, NotEnoughCredits
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import ledger
from webapp.credits.ledger import BatchUndo
from webapp.credits.ledger.holds import HOLD_SQL
from webapp.credits.models import Account, Entry, Hold, TopUpBatch, Transaction
from webapp.credits.selectors import get_balance
from webapp.generation.queueing import services
from webapp.generation.queueing.claims import Claim
from webapp.generation.queueing.services import DrawingReport
from webapp.generation.storage import StoredFile, write_image_files

pytestmark = pytest.mark.django_db(transaction=True)

CREDIT = UCR_PER_CREDIT
PRICE_UCR = 200_000
SPENDS_EACH = 1_000
SPENDS_IN_PYTHON = 80

# A thousand spends of one connection, each a transaction of its own, by the ledger's own
# statement. In the server, because sixteen threads of one Python would mostly wait for each other.
SPEND_MANY_SQL = """
DO $do$
DECLARE left_ucr bigint;
BEGIN
    FOR turn IN 1..{times} LOOP
        EXECUTE $hold$ {hold} $hold$ INTO left_ucr;
        COMMIT;
    END LOOP;
END $do$
"""


def spend_many(people: Sequence[User]) -> None:
    one_of = ", ".join(str(user.pk) for user in people)
    spend = HOLD_SQL % {
        "needed": PRICE_UCR,
        # Drawn once for each spend: an expression of the statement would be drawn for each row.
        "user": f"(SELECT (ARRAY[{one_of}])[1 + floor(random() * {len(people)})::int])",
        "images": "ARRAY[gen_random_uuid()]",
        "amounts": f"ARRAY[{PRICE_UCR}]",
    }
    with connection.cursor() as cursor:
        cursor.execute(SPEND_MANY_SQL.format(times=SPENDS_EACH, hold=spend))


def race_of(threads: int, do: Callable[[int], Any]) -> list[Any]:
    return race([partial(do, number) for number in range(threads)])


def test_sixteen_thousand_spends_of_one_account_hold_what_it_covers(alice: User) -> None:
    race_of(THREADS, lambda _number: spend_many([alice]))
    assert get_balance(user=alice).available_ucr == 0
    assert Hold.objects.count() == 200 * CREDIT // PRICE_UCR
    assert_clean_books(but="hold_image")


def test_sixteen_thousand_spends_of_many_accounts_oversell_none(db: None) -> None:
    people = [make_user(f"user{number}") for number in range(8)]
    race_of(THREADS, lambda _number: spend_many(people))
    # Two thousand for each account, which covers one thousand: all are bought out.
    assert Hold.objects.count() == 8 * 200 * CREDIT // PRICE_UCR
    assert {one.available_ucr for one in Account.objects.filter(kind="user")} == {0}
    assert_clean_books(but="hold_image")


def test_spends_from_sixteen_threads_are_refused_once_nothing_is_left(
    alice: User, charlie: User
) -> None:
    ledger.adjust(user=alice, amount_ucr=-100 * CREDIT, actor=charlie, reason="half of it", key="k")

    def spend(_number: int) -> int:
        held = 0
        for _turn in range(SPENDS_IN_PYTHON):
            with suppress(NotEnoughCredits):
                ledger.hold_for_images(user=alice, amounts_ucr={uuid.uuid4(): PRICE_UCR})
                held += 1
        return held

    assert sum(race_of(THREADS, spend)) == 500 < THREADS * SPENDS_IN_PYTHON
    assert get_balance(user=alice).available_ucr == 0
    assert_clean_books(but="hold_image")


def hold(user: User, images: int) -> list[uuid.UUID]:
    ids = [uuid.uuid4() for _ in range(images)]
    ledger.hold_for_images(user=user, amounts_ucr=dict.fromkeys(ids, PRICE_UCR))
    return ids


def test_charge_against_give_back_of_the_same_holds(alice: User, bob: User) -> None:
    ids = hold(alice, 60) + hold(bob, 60)

    def resolve(number: int) -> list[bool]:
        order = random.Random(number).sample(ids, len(ids))
        return [(ledger.capture if number % 2 else ledger.release)(image_id=one) for one in order]

    outcomes = race_of(THREADS, resolve)
    assert sum(map(sum, outcomes)) == len(ids)
    charged = Hold.objects.filter(state="captured").count()
    assert Entry.objects.filter(kind="capture", balance_after_ucr__isnull=False).count() == charged
    total_ucr = sum(get_balance(user=user).posted_ucr for user in (alice, bob))
    assert total_ucr == 400 * CREDIT - charged * PRICE_UCR
    assert sum(get_balance(user=user).held_ucr for user in (alice, bob)) == 0
    assert_clean_books()


def store(claimed: Claim, file: StoredFile) -> bool:
    rendering = DrawingReport(timings_s={}, fingerprint={})
    return services.store_image(
        image_id=claimed.image_id, lease_token=claimed.lease_token, file=file, rendering=rendering
    )


def test_storing_against_cancelling_the_same_images(alice: User) -> None:
    model = make_model()
    submit(alice, model, count=4)
    submit(alice, model, count=4)
    claims = [claim(model) for _ in range(8)]
    files = [
        write_image_files(
            image_id=one.image_id,
            lease_token=one.lease_token,
            png=picture_bytes(),
            thumbnail_webp=picture_bytes("WEBP"),
        )
        for one in claims
    ]
    contests = [
        (
            partial(store, one, file),
            partial(services.cancel_image, owner=alice, image_id=one.image_id),
        )
        for one, file in zip(claims, files, strict=True)
    ]
    outcomes = race([runner for contest in contests for runner in contest])
    for stored, cancelled in zip(outcomes[::2], outcomes[1::2], strict=True):
        assert stored != cancelled
    charged = Hold.objects.filter(state="captured").count()
    assert charged == sum(outcomes[::2])
    assert get_balance(user=alice).posted_ucr == 200 * CREDIT - charged * PRICE_UCR
    assert_clean_books()


def test_the_same_top_up_sixteen_times_at_once_is_one(alice: User, charlie: User) -> None:
    def top_up(_number: int) -> Transaction:
        return ledger.top_up(user=alice, amount_ucr=CREDIT, actor=charlie, reason="prize", key="k1")

    outcomes = race_of(THREADS, top_up)
    assert len({posted.pk for posted in outcomes}) == 1
    assert get_balance(user=alice).posted_ucr == 201 * CREDIT
    assert_clean_books()


def test_the_same_key_for_two_people_at_once_is_of_one_and_a_conflict_for_the_other(
    alice: User, bob: User, charlie: User
) -> None:
    def top_up(number: int) -> Transaction:
        user = (alice, bob)[number % 2]
        return ledger.top_up(user=user, amount_ucr=CREDIT, actor=charlie, reason="prize", key="k1")

    outcomes = race_of(THREADS, top_up)
    assert won(outcomes) == THREADS // 2
    assert sum(isinstance(one, Conflict) for one in outcomes) == THREADS // 2
    assert Transaction.objects.filter(kind="top_up").count() == 1
    assert_clean_books()


def test_the_same_grant_sixteen_times_at_once_is_one(alice: User) -> None:
    def grant(_number: int) -> bool:
        kind = Transaction.Kind.ALLOWANCE
        return ledger.post_grant(user=alice, amount_ucr=CREDIT, kind=kind, key="monthly:1:2026-01")

    assert won(race_of(THREADS, grant)) == 1
    assert get_balance(user=alice).posted_ucr == 201 * CREDIT
    assert_clean_books()


def test_one_mailbox_is_welcomed_once_however_many_accounts_open_at_once(db: None) -> None:
    people = [make_user(f"user{number}") for number in range(THREADS)]
    for user in people:
        user.mailbox = "the-same@mailbox.example"
    assert won(race_of(THREADS, lambda number: ledger.grant_welcome(user=people[number]))) == 1
    assert Transaction.objects.filter(kind="grant").count() == THREADS + 1
    assert_clean_books()


def test_two_undos_of_the_same_booking_are_one(alice: User, charlie: User) -> None:
    given = ledger.top_up(user=alice, amount_ucr=CREDIT, actor=charlie, reason="prize", key="k")
    undo = partial(ledger.reverse, transaction_id=given.pk, actor=charlie, reason="a mistake")
    assert won(race_of(THREADS, lambda _number: undo())) == 1
    assert get_balance(user=alice).posted_ucr == 200 * CREDIT
    assert_clean_books()


def test_two_refunds_of_the_same_image_are_one(alice: User, charlie: User) -> None:
    (image_id,) = hold(alice, 1)
    ledger.capture(image_id=image_id)
    refund = partial(ledger.refund_image, image_id=image_id, actor=charlie, reason="black")
    assert won(race_of(THREADS, lambda _number: refund())) == 1
    assert get_balance(user=alice).posted_ucr == 200 * CREDIT
    assert_clean_books()


def test_an_undo_races_the_spending_of_what_it_takes_back(alice: User, charlie: User) -> None:
    given = ledger.top_up(user=alice, amount_ucr=100 * CREDIT, actor=charlie, reason="x", key="k")
    undo = partial(ledger.reverse, transaction_id=given.pk, actor=charlie, reason="a mistake")
    spends = [
        partial(ledger.hold_for_images, user=alice, amounts_ucr={uuid.uuid4(): 60 * CREDIT})
        for _ in range(5)
    ]
    outcomes = race([undo, *spends])
    taken_ucr = (100 if won(outcomes[:1]) else 0) * CREDIT + won(outcomes[1:]) * 60 * CREDIT
    assert get_balance(user=alice).available_ucr == 300 * CREDIT - taken_ucr >= 0
    assert_clean_books(but="hold_image")


def batch_of(people: Sequence[User], actor: User, batch_id: uuid.UUID) -> TopUpBatch:
    lines = [(user.pk, CREDIT) for user in people]
    return ledger.top_up_many(batch_id=batch_id, lines=lines, actor=actor, reason="prize")


def test_the_same_batch_sixteen_times_at_once_is_one(charlie: User) -> None:
    people = [make_user(f"user{number}") for number in range(10)]
    batch_id = uuid.uuid4()
    assert won(race_of(THREADS, lambda _number: batch_of(people, charlie, batch_id))) == THREADS
    assert Transaction.objects.filter(kind="top_up").count() == 10
    undo = partial(ledger.reverse_batch, batch_id=batch_id, actor=charlie, reason="a mistake")
    undone = race_of(THREADS, lambda _number: undo())
    assert sorted(one.undone for one in undone) == [0] * (THREADS - 1) + [10]
    assert all(isinstance(one, BatchUndo) for one in undone)
    assert_clean_books()


def test_batches_in_opposite_orders_beside_everything_else_do_not_deadlock(charlie: User) -> None:
    people = [make_user(f"user{number}") for number in range(12)]

    def book(number: int) -> int:
        order = random.Random(number)
        for turn in range(3):
            lines = order.sample(people, len(people))
            if number % 4 == 0:
                batch = batch_of(lines, charlie, uuid.uuid4())
                ledger.reverse_batch(batch_id=batch.pk, actor=charlie, reason="a mistake")
            elif number % 4 == 1:
                grants = [(user.pk, CREDIT, f"m:{turn}:{user.pk}") for user in lines]
                ledger.post_grants(kind=Transaction.Kind.ALLOWANCE, lines=grants)
            elif number % 4 == 2:
                for image_id in [one for user in lines for one in hold(user, 2)]:
                    order.choice([ledger.capture, ledger.release])(image_id=image_id)
            else:
                adjust_each(lines, charlie)
        return number + 1

    assert won(race_of(THREADS, book)) == THREADS
    assert Transaction.objects.filter(kind="allowance").count() == 3 * 12
    assert_clean_books()


def adjust_each(people: Sequence[User], actor: User) -> None:
    for user in people:
        taken = ledger.adjust(
            user=user, amount_ucr=-CREDIT, actor=actor, reason="x", key=str(uuid.uuid4())
        )
        ledger.reverse(transaction_id=taken.pk, actor=actor, reason="x")


def test_a_batch_that_takes_away_races_the_spending_of_the_same_credits(
    alice: User, bob: User, charlie: User
) -> None:
    lines = [(bob.pk, CREDIT), (alice.pk, -150 * CREDIT)]

    def take() -> TopUpBatch:
        return ledger.top_up_many(batch_id=uuid.uuid4(), lines=lines, actor=charlie, reason="abuse")

    spend = partial(ledger.hold_for_images, user=alice, amounts_ucr={uuid.uuid4(): 100 * CREDIT})
    took, spent = race([take, spend])
    assert won([took, spent]) == 1
    assert isinstance(took, InvalidInput) or isinstance(spent, NotEnoughCredits)
    assert get_balance(user=bob).posted_ucr == (200 + won([took])) * CREDIT
    assert_clean_books(but="hold_image")


def test_closing_an_account_races_a_hold_on_it(alice: User) -> None:
    close = partial(ledger.close_account, user=alice)
    spend = partial(ledger.hold_for_images, user=alice, amounts_ucr={uuid.uuid4(): CREDIT})
    closed, spent = race([close, spend])
    account = Account.objects.get(kind="user")
    assert (account.user is None) == (closed is None)
    assert (account.held_ucr == 0) == (not won([spent]))
    assert account.user is not None or account.held_ucr == 0
