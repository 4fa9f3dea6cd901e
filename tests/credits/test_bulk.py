"""Many people topped up at once: all or nothing, once, and each line with who and why."""

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.people import make_user
from webapp.accounts.models import User
from webapp.core.errors import Conflict, InvalidInput
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import ledger
from webapp.credits.models import TopUpBatch, Transaction
from webapp.credits.selectors import get_balance
from webapp.operations.audit import find_violations

CREDIT = UCR_PER_CREDIT
BATCH = uuid.UUID(int=1)


def book(
    lines: list[tuple[int, int]],
    actor: User,
    *,
    batch_id: uuid.UUID = BATCH,
    reason: str = "prize",
    note: str = "",
    reasons: dict[int, str] | None = None,
) -> TopUpBatch:
    return ledger.top_up_many(
        batch_id=batch_id, lines=lines, actor=actor, reason=reason, note=note, reasons=reasons
    )


def posted(user: User) -> int:
    return get_balance(user=user).posted_ucr


def test_a_batch_adds_and_takes_away(alice: User, bob: User, charlie: User) -> None:
    batch = book([(alice.pk, 5 * CREDIT), (bob.pk, -20 * CREDIT)], charlie, note="from the fair")
    assert (posted(alice), posted(bob)) == (205 * CREDIT, 180 * CREDIT)
    assert (batch.people, batch.total_ucr, batch.actor_name) == (2, -15 * CREDIT, charlie.email)
    kinds = batch.transactions.order_by("kind").values_list("kind", "reason", "note", "actor_name")
    said = ("prize", "from the fair", charlie.email)
    assert list(kinds) == [("adjustment", *said), ("top_up", *said)]
    assert list(find_violations(files=False)) == []


def test_a_line_may_have_a_reason_of_its_own(alice: User, bob: User, charlie: User) -> None:
    lines = [(alice.pk, CREDIT), (bob.pk, CREDIT)]
    book(lines, charlie, reasons={bob.pk: " first place ", alice.pk: " "})
    reasons = Transaction.objects.filter(kind="top_up").values_list("reason", flat=True)
    assert sorted(reasons) == ["first place", "prize"]
    with pytest.raises(Conflict):
        book(lines, charlie, reasons={bob.pk: "second place"})


def test_the_same_batch_twice_is_booked_once(alice: User, bob: User, charlie: User) -> None:
    lines = [(alice.pk, CREDIT), (bob.pk, CREDIT)]
    assert book(lines, charlie) == book(lines[::-1], charlie)
    assert (posted(alice), posted(bob)) == (201 * CREDIT, 201 * CREDIT)


def test_the_same_batch_twice_is_answered_even_where_it_could_not_be_booked_now(
    alice: User, charlie: User
) -> None:
    lines = [(alice.pk, -150 * CREDIT)]
    assert book(lines, charlie) == book(lines, charlie)
    assert posted(alice) == 50 * CREDIT


@pytest.mark.parametrize(
    ("credits", "words"), [(2, {}), (1, {"reason": "other"}), (1, {"note": "other"})]
)
def test_the_same_id_for_another_batch_is_a_conflict(
    alice: User, charlie: User, credits: int, words: dict[str, Any]
) -> None:
    book([(alice.pk, CREDIT)], charlie)
    with pytest.raises(Conflict, match="already posted with other lines"):
        book([(alice.pk, credits * CREDIT)], charlie, **words)
    assert posted(alice) == 201 * CREDIT


def test_who_is_in_it_twice_or_unknown_and_what_is_absurd_is_named_by_its_line(
    alice: User, bob: User, charlie: User
) -> None:
    good = (alice.pk, CREDIT)
    bad = {
        "Line 2: This user is in the batch twice.": [good, good],
        "Line 2: This user has no account.": [good, (0, CREDIT)],
        "Line 2: The amount must not be 0.": [good, (bob.pk, 0)],
        "Line 2: At most 1000000.00 credits can be moved at once.": [good, (bob.pk, 10**12 + 1)],
        "Line 2: Only 200.00 credits can be taken away.": [good, (bob.pk, -201 * CREDIT)],
        "This batch has no users.": [],
    }
    for sentence, lines in bad.items():
        with pytest.raises(InvalidInput) as refused:
            book(lines, charlie)
        assert (refused.value.sentence, refused.value.field) == (sentence, "lines")
    assert (posted(alice), posted(bob)) == (200 * CREDIT, 200 * CREDIT)
    assert not TopUpBatch.objects.exists()


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"reason": " "}, "reason"),
        ({"reason": "x" * 201}, "reason"),
        ({"note": "x" * 501}, "note"),
    ],
)
def test_a_batch_needs_a_short_reason(
    alice: User, charlie: User, words: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        book([(alice.pk, CREDIT)], charlie, **words)
    assert refused.value.field == field


def test_what_is_held_cannot_be_taken(alice: User, charlie: User) -> None:
    ledger.hold_for_images(user=alice, amounts_ucr={uuid.uuid4(): 50 * CREDIT})
    with pytest.raises(InvalidInput, match=r"Only 150\.00 credits"):
        book([(alice.pk, -151 * CREDIT)], charlie)


def test_a_batch_of_many_costs_as_many_statements_as_of_one(charlie: User) -> None:
    lines = [(make_user(f"user{number}").pk, CREDIT) for number in range(12)]
    with CaptureQueriesContext(connection) as one:
        book(lines[:1], charlie, batch_id=uuid.uuid4())
    with CaptureQueriesContext(connection) as many:
        book(lines, charlie)
    assert len(many) == len(one)
