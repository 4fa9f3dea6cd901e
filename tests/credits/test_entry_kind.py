"""Each entry repeats its transaction's kind and time, whoever writes it and however."""

import pytest
from django.db import IntegrityError
from django.db.models import F

from tests.people import claim, finish, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.credits import ledger
from webapp.credits.models import Account, Entry

pytestmark = pytest.mark.django_db


def test_entries_say_what_their_transaction_says(
    alice: User, charlie: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    assert finish(claim(offered_model))
    ledger.top_up(user=alice, amount_ucr=1, actor=charlie, reason="a prize", key="1")
    same = Entry.objects.filter(kind=F("transaction__kind"), at=F("transaction__created_at"))
    assert same.count() == Entry.objects.count()
    assert {"grant", "capture", "top_up"} <= set(same.values_list("kind", flat=True))


def test_what_a_writer_says_itself_does_not_count(alice: User) -> None:
    written = Entry.objects.filter(account__user=alice).get()
    for amount_ucr in (1, -1):
        again = Entry.objects.create(
            transaction=written.transaction,
            account=written.account,
            amount_ucr=amount_ucr,
            kind="capture",
        )
        again.refresh_from_db()
        assert (again.kind, again.at) == (written.kind, written.at)


def test_an_entry_without_its_transaction_is_refused(alice: User) -> None:
    account = Account.objects.get(user=alice)
    with pytest.raises(IntegrityError, match="comes after its transaction"):
        Entry.objects.create(transaction_id=0, account=account, amount_ucr=1)
