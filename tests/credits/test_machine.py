"""Every operation of the ledger in any order, against a model of a few dictionaries in memory."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.people import make_user
from tests.selection import examples
from webapp.accounts.models import User
from webapp.core.errors import Conflict, InvalidInput, NotEnoughCredits, NotFound
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import ledger
from webapp.credits.models import Account, Transaction
from webapp.operations.audit import find_violations

CREDIT = UCR_PER_CREDIT
PEOPLE = 4
REFUSALS = (Conflict, InvalidInput, NotEnoughCredits, NotFound)
SETTINGS = settings(
    max_examples=examples(60),
    stateful_step_count=40,
    derandomize=True,
)

who = st.integers(0, PEOPLE - 1)
amounts = st.sampled_from([1, 200_000, 7 * CREDIT, 90 * CREDIT, 150 * CREDIT])
signed = st.builds(lambda amount, sign: amount * sign, amounts, st.sampled_from([1, -1]))
keys = st.sampled_from(["a", "b", "c", "d", "e", "f"])
which = st.integers(0, 30)


@dataclass
class Person:
    """An account as the model has it."""

    user: User
    account_id: int
    posted_ucr: int = 200 * CREDIT
    held: dict[uuid.UUID, int] = field(default_factory=dict)
    is_closed: bool = False

    @property
    def available_ucr(self) -> int:
        return self.posted_ucr - sum(self.held.values())


@dataclass
class Given:
    """A posting that may be undone, as the model has it."""

    transaction_id: int
    person: Person
    amount_ucr: int
    is_undone: bool = False

    @property
    def missing_ucr(self) -> int:
        """What the account lacks for an undo; 0 if it can be."""
        return max(0, self.amount_ucr - self.person.available_ucr)

    def undo(self) -> None:
        self.person.posted_ucr -= self.amount_ucr
        self.is_undone = True


class Books(RuleBasedStateMachine):
    """Each rule asks the model what must happen, lets the ledger do it and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()
        self.example.__enter__()
        self.admin = make_user("admin")
        self.people = [self._open(f"user{number}") for number in range(PEOPLE)]
        self.ended: dict[uuid.UUID, tuple[Person, int]] = {}  # image -> who was charged how much
        self.refunded: set[uuid.UUID] = set()
        self.booked: dict[str, tuple[Person, int]] = {}  # key -> what it was used for
        self.given: list[Given] = []
        self.batches: dict[uuid.UUID, tuple[list[tuple[int, int]], list[Given]]] = {}

    def _open(self, name: str) -> Person:
        user = make_user(name)
        return Person(user=user, account_id=user.account.pk)

    def teardown(self) -> None:
        found = [one for one in find_violations(files=False) if one.code != "hold_image"]
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)
        assert [one.sentence for one in found] == []

    def _expect(self, refusal: type[Exception] | None, do: Callable[[], Any]) -> Any:
        """What `do` returned; fails if it was not refused, or otherwise, as the model says."""
        met: type[Exception] | None = None
        try:
            with transaction.atomic():
                answer = do()
        except REFUSALS as error:
            met, answer = type(error), None
        assert met is refusal, f"{met} instead of {refusal}"
        return answer

    @rule(at=who, wanted=st.lists(amounts, min_size=1, max_size=3))
    def hold(self, at: int, wanted: list[int]) -> None:
        person = self.people[at]
        images = {uuid.uuid4(): amount for amount in wanted}
        refusal: type[Exception] | None = None
        if person.is_closed:
            refusal = NotFound
        elif person.available_ucr < sum(wanted):
            refusal = NotEnoughCredits
        self._expect(refusal, lambda: ledger.hold_for_images(user=person.user, amounts_ucr=images))
        if refusal is None:
            person.held.update(images)

    @rule(at=who, index=which, is_stored=st.booleans())
    def end_image(self, at: int, index: int, is_stored: bool) -> None:
        """Charge or give back an open hold, or one that was resolved before."""
        person = self.people[at]
        images = [*person.held, *self.ended]
        if not images:
            return
        image_id = images[index % len(images)]
        amount = person.held.pop(image_id, None)
        resolve = ledger.capture if is_stored else ledger.release
        assert resolve(image_id=image_id) is (amount is not None)
        if amount is not None and is_stored:
            person.posted_ucr -= amount
            self.ended[image_id] = person, amount

    @rule(index=which)
    def refund(self, index: int) -> None:
        images = [*self.ended, uuid.uuid4()]
        image_id = images[index % len(images)]
        is_due = image_id in self.ended and image_id not in self.refunded
        self._expect(
            None if is_due else Conflict,
            lambda: ledger.refund_image(image_id=image_id, actor=self.admin, reason="black"),
        )
        if is_due:
            person, amount = self.ended[image_id]
            person.posted_ucr += amount
            self.refunded.add(image_id)

    @rule(at=who, amount=signed, key=keys)
    def book_by_hand(self, at: int, amount: int, key: str) -> None:
        person, book = self.people[at], ledger.top_up if amount > 0 else ledger.adjust
        used = f"{book.__name__}:{key}"
        earlier = self.booked.get(used)
        refusal: type[Exception] | None = None
        if person.is_closed:
            refusal = NotFound
        elif earlier is not None and earlier != (person, amount):
            refusal = Conflict
        elif earlier is None and person.available_ucr + amount < 0:
            refusal = NotEnoughCredits
        posted = self._expect(
            refusal,
            lambda: book(
                user=person.user, amount_ucr=amount, actor=self.admin, reason="r", key=key
            ),
        )
        if refusal is None and earlier is None:
            self.booked[used] = person, amount
            self._give(posted.pk, person, amount)

    @rule(at=who, amount=amounts, key=keys)
    def grant(self, at: int, amount: int, key: str) -> None:
        person, used = self.people[at], f"grant:{key}"
        kind = Transaction.Kind.ALLOWANCE
        is_new = self._expect(
            NotFound if person.is_closed else None,
            lambda: ledger.post_grant(user=person.user, amount_ucr=amount, kind=kind, key=used),
        )
        if person.is_closed:
            return
        assert is_new is (used not in self.booked)
        if is_new:
            self.booked[used] = person, amount
            posted = Transaction.objects.get(idempotency_key=used)
            self._give(posted.pk, person, amount)

    def _give(self, transaction_id: int, person: Person, amount: int) -> Given:
        person.posted_ucr += amount
        given = Given(transaction_id, person, amount)
        self.given.append(given)
        return given

    @precondition(lambda self: self.given)
    @rule(index=which)
    def reverse(self, index: int) -> None:
        given = self.given[index % len(self.given)]
        refusal: type[Exception] | None = None
        if given.is_undone:
            refusal = Conflict
        elif given.missing_ucr:
            refusal = NotEnoughCredits
        self._expect(
            refusal,
            lambda: ledger.reverse(
                transaction_id=given.transaction_id, actor=self.admin, reason="r"
            ),
        )
        if refusal is None:
            given.undo()

    @rule(
        number=st.integers(1, 3),
        asked=st.lists(
            st.tuples(who, signed), min_size=1, max_size=PEOPLE, unique_by=lambda x: x[0]
        ),
    )
    def top_up_many(self, number: int, asked: list[tuple[int, int]]) -> None:
        batch_id = uuid.UUID(int=number)
        lines = [(self.people[at].user.pk, amount) for at, amount in asked]
        refusal: type[Exception] | None = None
        if batch_id in self.batches:
            refusal = None if sorted(self.batches[batch_id][0]) == sorted(lines) else Conflict
        elif any(not self._can_take(self.people[at], amount) for at, amount in asked):
            refusal = InvalidInput
        batch = self._expect(
            refusal,
            lambda: ledger.top_up_many(
                batch_id=batch_id, lines=lines, actor=self.admin, reason="r"
            ),
        )
        if batch is None or batch_id in self.batches:
            return
        ids = dict(batch.transactions.values_list("idempotency_key", "pk"))
        given = [
            self._give(ids[f"batch:{batch_id}:{number:06d}"], self.people[at], amount)
            for number, (at, amount) in enumerate(asked, start=1)
        ]
        self.batches[batch_id] = lines, given

    @staticmethod
    def _can_take(person: Person, amount: int) -> bool:
        return not person.is_closed and person.available_ucr + amount >= 0

    @precondition(lambda self: self.batches)
    @rule(index=which)
    def reverse_batch(self, index: int) -> None:
        batch_id = list(self.batches)[index % len(self.batches)]
        open_lines = [one for one in self.batches[batch_id][1] if not one.is_undone]
        kept = [one for one in open_lines if one.missing_ucr]
        undo = ledger.reverse_batch(batch_id=batch_id, actor=self.admin, reason="r")
        assert undo.undone == len(open_lines) - len(kept)
        expected = [
            (None if one.person.is_closed else one.person.user.pk, one.missing_ucr) for one in kept
        ]
        assert sorted(undo.kept, key=str) == sorted(expected, key=str)
        for one in open_lines:
            if one not in kept:
                one.undo()

    @rule(at=who)
    def close(self, at: int) -> None:
        person = self.people[at]
        if sum(self.people[one].is_closed for one in range(PEOPLE)) == PEOPLE - 2:
            return  # two stay open, so that there is something to do
        refusal = Conflict if person.held else None
        self._expect(refusal, lambda: ledger.close_account(user=person.user))
        if refusal is None and not person.is_closed:
            person.is_closed = True
            User.objects.filter(pk=person.user.pk).delete()

    @invariant()
    def balances_are_the_models(self) -> None:
        """And no deferred rule of the database is broken."""
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        found = Account.objects.filter(pk__in=[one.account_id for one in self.people])
        balances = {one.pk: (one.posted_ucr, one.held_ucr, one.user_id) for one in found}
        assert balances == {
            one.account_id: (
                one.posted_ucr,
                sum(one.held.values()),
                None if one.is_closed else one.user.pk,
            )
            for one in self.people
        }


@pytest.mark.django_db
@pytest.mark.fewer_on_a_push
def test_the_books_are_the_models_whatever_is_done_in_whatever_order() -> None:
    run_state_machine_as_test(Books, settings=SETTINGS)
