"""The ledger as it is read: how a row names itself, and the small selectors."""

import uuid
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.account.signals import email_confirmed
from django.utils import timezone

from tests.people import make_user
from webapp.accounts.models import User
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import ledger
from webapp.credits.models import (
    Account,
    Code,
    CodeBatch,
    CodeUse,
    CreditRequest,
    Entry,
    Hold,
    TopUpBatch,
    Transaction,
)
from webapp.credits.request_selectors import Applicant, get_applicant
from webapp.credits.selectors import count_open_holds, get_balance, get_hold

CREDIT = UCR_PER_CREDIT


def test_every_row_names_itself(alice: User) -> None:
    """In the admin site, in the audit log, in a traceback."""
    account = Account.objects.get(user=alice)
    made = timezone.now().replace(year=2026, month=5, day=4, hour=3, minute=2)
    code = Code(batch=CodeBatch(pk=uuid.UUID(int=1), name="fair"), number=7)
    named = {
        "alice@example.org": account,
        "grants": Account.objects.get(kind="grants"),
        str(account.pseudonym): Account(kind="user", pseudonym=account.pseudonym),
        "welcome credits 2026-05-04 03:02": Transaction(kind="grant", created_at=made),
        f"200000 on {account.pk}": Entry(amount_ucr=200_000, account=account),
        "200000 held": Hold(amount_ucr=200_000),
        "2026-05-04 03:02 prize": TopUpBatch(reason="prize", created_at=made),
        "fair": code.batch,
        f"{uuid.UUID(int=1)}/7": code,
        f"{uuid.UUID(int=1)}/7 by {account.pk}": CodeUse(code=code, account=account),
        "alice@example.org open": CreditRequest(user=alice),
    }
    for name, row in named.items():
        assert str(row) == name


def test_open_holds_are_counted_and_found_by_their_image(alice: User) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    ledger.hold_for_images(user=alice, amounts_ucr={first: CREDIT, second: CREDIT})
    assert count_open_holds(user=alice) == 2
    ledger.release(image_id=second)
    assert count_open_holds(user=alice) == 1
    found = get_hold(image_id=second)
    assert found is not None
    assert found.state == "released"
    assert get_hold(image_id=uuid.uuid4()) is None


def test_who_asks_for_credits_is_shown_with_what_they_have_and_spent(alice: User) -> None:
    paid, old, held = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    ledger.hold_for_images(user=alice, amounts_ucr=dict.fromkeys([paid, old, held], CREDIT))
    ledger.capture(image_id=old)
    # Only a hold that is open can get another time.
    long_ago = timezone.now() - timedelta(days=31)
    Hold.objects.filter(image_id=paid).update(state="captured", resolved_at=long_ago)
    request = CreditRequest.objects.create(user=alice, amount_ucr=CREDIT, reason="a book")
    assert get_applicant(request_id=request.pk) == Applicant(197 * CREDIT, CREDIT, 1)


def confirm(user: User) -> None:
    address = EmailAddress(user=user, email=user.email)
    email_confirmed.send(sender=EmailAddress, email_address=address, request=None)


@pytest.fixture
def waiting(db: None) -> User:
    """Somebody who signed up, and whose mailbox has still to be confirmed."""
    user = User(email="dora@example.org")
    user.welcome_waits = True
    user.save()
    return user


def test_the_welcome_waits_for_the_mailbox_and_comes_once(waiting: User) -> None:
    assert get_balance(user=waiting).posted_ucr == 0
    confirm(waiting)
    confirm(waiting)
    assert get_balance(user=waiting).posted_ucr == 200 * CREDIT


def test_a_second_mailbox_brings_no_second_welcome(waiting: User) -> None:
    confirm(waiting)
    User.objects.filter(pk=waiting.pk).update(mailbox="another@mailbox.example")
    confirm(waiting)
    assert get_balance(user=waiting).posted_ucr == 200 * CREDIT


def test_a_fixture_brings_its_own_account(db: None) -> None:
    user = User(email="dora@example.org")
    user.save_base(raw=True)
    assert not Account.objects.filter(user=user).exists()
    make_user("eve")
    assert Account.objects.filter(kind="user").count() == 1
