"""The mail that little is left: once per crossing, to people who can read it."""

import smtplib
import uuid
from decimal import Decimal

import pytest
from allauth.account.models import EmailAddress
from django.conf import LazySettings
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import OperationalError
from django.template import TemplateDoesNotExist

from tests.credits.races import race
from tests.people import make_user
from webapp.accounts.models import User
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import ledger, low_balance, mails, tasks
from webapp.credits.ledger import low
from webapp.credits.low_balance import tell_low_balances
from webapp.credits.models import Account, Transaction

CREDIT = UCR_PER_CREDIT


@pytest.fixture(autouse=True)
def _mail_server(settings: LazySettings) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    settings.PUBLIC_URL = "https://studio.example.org"
    settings.LOW_BALANCE = Decimal(10)


@pytest.fixture(autouse=True)
def _verified(alice: User) -> None:
    verify(alice)


def verify(*people: User) -> None:
    for user in people:
        EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)


def spend(user: User, credits: int) -> None:
    image_id = uuid.uuid4()
    ledger.hold_for_images(user=user, amounts_ucr={image_id: credits * CREDIT})
    ledger.capture(image_id=image_id)


def give(user: User, credits: int) -> None:
    kind = Transaction.Kind.GRANT
    ledger.post_grant(user=user, amount_ucr=credits * CREDIT, kind=kind, key=uuid.uuid4().hex)


def is_marked(user: User) -> bool:
    return Account.objects.get(user=user).low_told_at is not None


def addresses() -> list[str]:
    return sorted(address for message in mail.outbox for address in message.to)


def test_a_balance_that_falls_below_the_threshold_is_told_once(alice: User) -> None:
    spend(alice, 190)
    assert tell_low_balances() == 0  # 10 left is not below 10
    spend(alice, 1)
    assert [tell_low_balances() for _run in range(3)] == [1, 0, 0]
    spend(alice, 5)
    assert tell_low_balances() == 0
    (message,) = mail.outbox
    assert message.to == ["alice@example.org"]
    assert message.subject == "Your credits are running low"
    assert message.body == (
        "You have 9.00 credits left.\n\nYou can ask an administrator for more here:"
        "\n\nhttps://studio.example.org/credits/request/\n\nDarkroom\n"
    )


@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("ko", "크레딧이 얼마 남지 않았습니다"),
        ("en", "Your credits are running low"),
        ("", "Your credits are running low"),
        ("tlh", "Your credits are running low"),
    ],
)
def test_the_mail_is_in_the_language_of_who_reads_it(
    alice: User, language: str, subject: str
) -> None:
    User.objects.filter(pk=alice.pk).update(language=language)
    spend(alice, 191)
    tell_low_balances()
    (message,) = mail.outbox
    assert message.subject == subject
    assert ("남은 크레딧: 9.00크레딧" in message.body) is (language == "ko")


def test_a_studio_that_does_not_know_its_address_names_the_page(
    alice: User, settings: LazySettings
) -> None:
    settings.PUBLIC_URL = ""
    spend(alice, 191)
    tell_low_balances()
    assert "on the Credits page." in mail.outbox[0].body


def test_a_second_fall_is_told_again(alice: User) -> None:
    spend(alice, 195)
    tell_low_balances()
    give(alice, 50)
    assert tell_low_balances() == 0
    assert not is_marked(alice)
    spend(alice, 50)
    assert tell_low_balances() == 1
    assert len(mail.outbox) == 2


def test_a_top_up_that_stays_below_the_threshold_is_no_new_crossing(alice: User) -> None:
    spend(alice, 199)
    tell_low_balances()
    give(alice, 5)
    assert tell_low_balances() == 0


def test_what_is_held_counts_as_gone(alice: User) -> None:
    spend(alice, 1)
    ledger.hold_for_images(user=alice, amounts_ucr={uuid.uuid4(): 195 * CREDIT})
    assert tell_low_balances() == 1


def test_who_has_not_paid_for_an_image_is_left_alone(alice: User, settings: LazySettings) -> None:
    settings.LOW_BALANCE = Decimal(500)
    assert tell_low_balances() == 0
    image_id = uuid.uuid4()
    ledger.hold_for_images(user=alice, amounts_ucr={image_id: CREDIT})
    ledger.release(image_id=image_id)
    assert tell_low_balances() == 0


def test_who_is_suspended_or_not_verified_is_left_alone(alice: User, bob: User) -> None:
    for user in (alice, bob):
        spend(user, 195)
    EmailAddress.objects.create(user=bob, email="other@example.org", verified=True)
    EmailAddress.objects.create(user=bob, email=bob.email, verified=False)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert tell_low_balances() == 0
    assert not is_marked(alice)


@pytest.mark.parametrize(("name", "value"), [("LOW_BALANCE", Decimal(0)), ("EMAIL_HOST", "")])
def test_nobody_is_marked_where_nobody_is_told(
    alice: User, settings: LazySettings, name: str, value: object
) -> None:
    spend(alice, 200)
    setattr(settings, name, value)
    assert tell_low_balances() == 0
    assert not is_marked(alice)


@pytest.mark.usefixtures("transactional_db")
def test_eight_runs_at_once_tell_everybody_once() -> None:
    people = [make_user(f"u{number}") for number in range(6)]
    verify(*people)
    for user in people:
        spend(user, 195)
    told = race([tell_low_balances] * 8)
    assert sum(one for one in told if isinstance(one, int)) == 6
    assert addresses() == sorted(user.email for user in people)


def test_a_mail_server_that_is_away_is_tried_again_at_the_next_run(
    alice: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> BaseEmailBackend:
        raise ConnectionRefusedError("nobody there")

    spend(alice, 195)
    with monkeypatch.context() as patch:
        patch.setattr(mails, "open_connection", away)
        assert tell_low_balances() == 0
    assert "1 mails about low balances are put off" in caplog.text
    assert not is_marked(alice)
    assert tell_low_balances() == 1


def test_who_was_not_told_is_not_marked_whatever_went_wrong(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    spend(alice, 195)

    def without_template(**_told: object) -> None:
        raise TemplateDoesNotExist("credits/mail/low_balance.txt")

    with monkeypatch.context() as patch:
        patch.setattr(mails, "send_low_balance", without_template)
        with pytest.raises(TemplateDoesNotExist):
            tell_low_balances()
    assert not is_marked(alice)
    assert tell_low_balances() == 1


def test_a_server_that_leaves_in_the_middle_leaves_the_rest_for_the_next_run(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify(bob)
    for user in (alice, bob):
        spend(user, 195)
    send, calls = mails.send_low_balance, []

    def leave(**told: object) -> None:
        calls.append(told["address"])
        if len(calls) == 2:
            raise smtplib.SMTPServerDisconnected("gone")
        send(**told)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(mails, "send_low_balance", leave)
        assert tell_low_balances() == 1
    assert sorted([is_marked(alice), is_marked(bob)]) == [False, True]
    assert tell_low_balances() == 1
    assert addresses() == ["alice@example.org", "bob@example.org"]


def test_an_address_that_the_server_refuses_does_not_keep_the_others_waiting(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    verify(bob)
    for user in (alice, bob):
        spend(user, 195)
    send = mails.send_low_balance

    def refuse(**told: object) -> None:
        if told["address"] == alice.email:
            raise smtplib.SMTPRecipientsRefused({alice.email: (550, b"no such user")})
        send(**told)  # type: ignore[arg-type]

    monkeypatch.setattr(mails, "send_low_balance", refuse)
    assert [tell_low_balances() for _run in range(2)] == [1, 0]
    assert addresses() == ["bob@example.org"]
    assert is_marked(alice)
    assert "nobody was told of the low balance" in caplog.text


def test_an_account_that_was_closed_meanwhile_is_passed_over(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    spend(alice, 195)
    mark = low.mark_low

    def mark_and_close(*, account_ids: list[int], threshold_ucr: int) -> list[int]:
        marked = mark(account_ids=account_ids, threshold_ucr=threshold_ucr)
        ledger.close_account(user=alice)
        return marked

    monkeypatch.setattr(low, "mark_low", mark_and_close)
    assert tell_low_balances() == 0
    assert mail.outbox == []


def test_more_people_than_one_run_tells_are_told_by_the_next(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify(bob)
    for user in (alice, bob):
        spend(user, 195)
    monkeypatch.setattr(low_balance, "MAILS_AT_ONCE", 1)
    assert [tell_low_balances() for _run in range(3)] == [1, 1, 0]


def test_an_account_that_got_more_meanwhile_is_not_marked(alice: User) -> None:
    account = Account.objects.get(user=alice)
    assert low.mark_low(account_ids=[account.pk], threshold_ucr=10 * CREDIT) == []


def test_the_task_tells_and_is_put_off_where_the_database_is_away(
    alice: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spend(alice, 195)
    tasks.tell_low_balances()
    assert len(mail.outbox) == 1

    def away() -> int:
        raise OperationalError("no server")

    monkeypatch.setattr(low_balance, "tell_low_balances", away)
    tasks.tell_low_balances()
    assert "mails are put off" in caplog.text
