"""Asking for credits, and the answers: once each, with a line in the ledger and one in the log."""

import logging
import smtplib
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.utils import translation
from kombu.exceptions import OperationalError

from tests.credits.races import race
from webapp.accounts.models import User
from webapp.celery import app
from webapp.core import herald
from webapp.core.errors import Conflict, InvalidInput, NotFound, TooMany
from webapp.core.models import AuditLine
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import ledger, mails, request_selectors, requests, tasks
from webapp.credits.models import CreditRequest, Transaction
from webapp.credits.requests import (
    approve_request,
    ask_for_credits,
    count_open_requests,
    decline_request,
    withdraw_request,
)
from webapp.credits.selectors import get_balance

CREDIT = UCR_PER_CREDIT


def asked_by(user: User, credits: int = 40, reason: str = "a poster") -> CreditRequest:
    return ask_for_credits(user=user, amount_ucr=credits * CREDIT, reason=reason)


def have(user: User) -> int:
    return get_balance(user=user).posted_ucr // CREDIT


@pytest.fixture
def sent_tasks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """The tasks that would be sent to a worker."""
    sent: list[tuple[Any, ...]] = []

    def send(name: str, args: list[Any], **_how: object) -> None:
        sent.append((name, *args))

    monkeypatch.setattr(app, "send_task", send)
    yield sent
    assert herald.flush()


@pytest.fixture
def mail_server(settings: LazySettings) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    settings.PUBLIC_URL = "https://studio.example.org"


# -- Asking


def test_a_request_is_open_until_somebody_answers(alice: User) -> None:
    asked = asked_by(alice, reason="  a poster\n")
    assert (asked.state, asked.reason, asked.decided_at) == ("open", "a poster", None)
    assert count_open_requests() == 1


def test_there_is_one_open_request_for_each_person(alice: User, bob: User) -> None:
    asked_by(alice)
    with pytest.raises(Conflict, match="already have an open request"):
        asked_by(alice)
    asked_by(bob)
    assert count_open_requests() == 2


@pytest.mark.parametrize(
    ("field", "amount_ucr", "reason"),
    [
        ("amount", 0, "a poster"),
        ("amount", -CREDIT, "a poster"),
        ("amount", 10**12 + 1, "a poster"),
        ("reason", CREDIT, " \n"),
        ("reason", CREDIT, "x" * 501),
    ],
)
def test_what_cannot_be_asked_is_refused_at_its_field(
    alice: User, field: str, amount_ucr: int, reason: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        ask_for_credits(user=alice, amount_ucr=amount_ucr, reason=reason)
    assert refused.value.field == field
    assert not CreditRequest.objects.exists()


def test_nobody_asks_more_than_five_times_a_day(alice: User) -> None:
    for _time in range(5):
        withdraw_request(user=alice, request_id=asked_by(alice).pk)
    with pytest.raises(TooMany, match="5 requests a day"):
        asked_by(alice)


def test_a_request_is_withdrawn_by_its_owner_alone_and_once(alice: User, bob: User) -> None:
    asked = asked_by(alice)
    with pytest.raises(NotFound):
        withdraw_request(user=bob, request_id=asked.pk)
    withdraw_request(user=alice, request_id=asked.pk)
    with pytest.raises(Conflict, match="already been answered or withdrawn"):
        withdraw_request(user=alice, request_id=asked.pk)
    assert asked_by(alice).state == "open"


# -- Answering


@pytest.mark.usefixtures("sent_tasks")
def test_approving_gives_what_was_asked_for(alice: User, charlie: User) -> None:
    asked = asked_by(alice)
    approve_request(request_id=asked.pk, actor=charlie)
    asked.refresh_from_db()
    assert (asked.state, asked.granted_ucr, asked.decided_by) == ("approved", 40 * CREDIT, charlie)
    assert have(alice) == 240
    posted = Transaction.objects.get(kind="top_up")
    assert (posted.actor_name, posted.reason) == ("charlie@example.org", "You asked for credits")
    assert posted.note == f"Request {asked.pk}: a poster"
    assert posted.idempotency_key.endswith(f"request:{asked.pk}")


@pytest.mark.usefixtures("sent_tasks")
def test_another_amount_can_be_given_with_an_answer(alice: User, charlie: User) -> None:
    asked = asked_by(alice, reason="x" * 500)
    approve_request(
        request_id=asked.pk, actor=charlie, amount_ucr=15 * CREDIT, answer=" for a start "
    )
    assert have(alice) == 215
    assert Transaction.objects.get(kind="top_up").reason == "for a start"
    line = AuditLine.objects.get(action="request.approve")
    assert (line.actor, line.subject_kind, line.subject_id) == (charlie, "user", str(alice.pk))
    assert line.reason == "for a start"
    assert line.before == {"request": asked.pk, "asked": "40.00"}
    assert line.after == {"state": "approved", "granted": "15.00"}


@pytest.mark.usefixtures("sent_tasks")
def test_declining_gives_nothing_and_says_why(alice: User, charlie: User) -> None:
    asked = asked_by(alice)
    with pytest.raises(InvalidInput) as refused:
        decline_request(request_id=asked.pk, actor=charlie, answer="  ")
    assert refused.value.field == "answer"
    decline_request(request_id=asked.pk, actor=charlie, answer="Next month again.")
    asked.refresh_from_db()
    assert (asked.state, asked.answer, asked.granted_ucr) == (
        "declined",
        "Next month again.",
        None,
    )
    assert have(alice) == 200
    line = AuditLine.objects.get(action="request.decline")
    assert line.after == {"state": "declined", "granted": None}


@pytest.mark.usefixtures("sent_tasks")
@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("amount", {"amount_ucr": 0}),
        ("amount", {"amount_ucr": -1}),
        ("amount", {"amount_ucr": 10**12 + 1}),
        ("answer", {"answer": "x" * 201}),
    ],
)
def test_an_answer_that_cannot_be_changes_nothing(
    alice: User, charlie: User, field: str, changes: dict[str, Any]
) -> None:
    asked = asked_by(alice)
    with pytest.raises(InvalidInput) as refused:
        approve_request(request_id=asked.pk, actor=charlie, **changes)
    assert refused.value.field == field
    assert (have(alice), count_open_requests()) == (200, 1)
    assert not AuditLine.objects.exists()


@pytest.mark.usefixtures("sent_tasks")
def test_a_request_is_answered_once(alice: User, charlie: User) -> None:
    asked = asked_by(alice)
    approve_request(request_id=asked.pk, actor=charlie)
    with pytest.raises(Conflict):
        approve_request(request_id=asked.pk, actor=charlie)
    with pytest.raises(Conflict):
        decline_request(request_id=asked.pk, actor=charlie, answer="no")
    with pytest.raises(Conflict):
        withdraw_request(user=alice, request_id=asked.pk)
    assert have(alice) == 240
    assert AuditLine.objects.count() == 1


def test_a_request_that_is_not_there_cannot_be_answered(charlie: User) -> None:
    with pytest.raises(NotFound):
        approve_request(request_id=1, actor=charlie)
    with pytest.raises(NotFound):
        decline_request(request_id=1, actor=charlie, answer="no")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("sent_tasks")
def test_answers_at_once_have_one_winner(alice: User, charlie: User) -> None:
    asked = asked_by(alice)
    approve = partial(approve_request, request_id=asked.pk, actor=charlie)
    decline = partial(decline_request, request_id=asked.pk, actor=charlie, answer="no")
    withdraw = partial(withdraw_request, user=alice, request_id=asked.pk)
    outcomes = race([*[approve] * 6, *[decline] * 6, *[withdraw] * 4])
    assert sum(isinstance(one, Conflict) for one in outcomes) == 15
    state = CreditRequest.objects.get().state
    assert have(alice) == (240 if state == "approved" else 200)


@pytest.mark.django_db(transaction=True)
def test_asking_at_once_leaves_one_open_request(alice: User) -> None:
    outcomes = race([partial(asked_by, alice)] * 8)
    # Those who looked after five were there hear that, the others that one is open.
    assert sum(isinstance(one, CreditRequest) for one in outcomes) == 1
    assert CreditRequest.objects.count() == 1


def test_what_was_refunded_is_not_told_as_spent(alice: User, charlie: User) -> None:
    asked = asked_by(alice)
    image_ids = [uuid.uuid4(), uuid.uuid4()]
    ledger.hold_for_images(user=alice, amounts_ucr=dict.fromkeys(image_ids, 3 * CREDIT))
    for image_id in image_ids:
        ledger.capture(image_id=image_id)
    ledger.refund_image(image_id=image_ids[0], actor=charlie, reason="It was grey.")
    told = request_selectors.get_applicant(request_id=asked.pk)
    assert told == request_selectors.Applicant(197 * CREDIT, 3 * CREDIT, 1)


def test_what_somebody_has_and_used_in_the_last_days_is_told(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asked_by(alice)
    for user, credits in ((alice, 3), (alice, 4), (bob, 50)):
        image_id = uuid.uuid4()
        ledger.hold_for_images(user=user, amounts_ucr={image_id: credits * CREDIT})
        ledger.capture(image_id=image_id)
    ledger.hold_for_images(user=alice, amounts_ucr={uuid.uuid4(): 10 * CREDIT})
    told = request_selectors.get_applicant(request_id=asked.pk)
    assert told == request_selectors.Applicant(183 * CREDIT, 7 * CREDIT, 2)
    monkeypatch.setattr(request_selectors, "SPEND_DAYS", -1)  # since tomorrow
    told = request_selectors.get_applicant(request_id=asked.pk)
    assert (told.spent_ucr, told.images) == (0, 0)


# -- The mail


@pytest.mark.django_db(transaction=True)
def test_the_mail_is_left_to_a_worker_once_the_answer_is_committed(
    alice: User, charlie: User, sent_tasks: list[tuple[Any, ...]]
) -> None:
    asked = asked_by(alice)
    assert sent_tasks == []
    approve_request(request_id=asked.pk, actor=charlie)
    assert herald.flush()
    assert sent_tasks == [("webapp.credits.tasks.tell_decision", asked.pk)]


@pytest.mark.django_db(transaction=True)
def test_an_answer_holds_where_no_worker_can_be_reached(
    alice: User,
    charlie: User,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def away(*_args: object, **_options: object) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(app, "send_task", away)
    asked = asked_by(alice)
    approve_request(request_id=asked.pk, actor=charlie)
    assert have(alice) == 240
    assert herald.flush()
    assert f"the mail with the answer to request {asked.pk} was not sent" in caplog.text


@pytest.mark.usefixtures("sent_tasks", "mail_server")
def test_the_user_hears_by_mail_what_was_given_and_why(alice: User, charlie: User) -> None:
    asked = asked_by(alice)
    approve_request(
        request_id=asked.pk, actor=charlie, amount_ucr=15 * CREDIT, answer="For <b> & you"
    )
    tasks.tell_decision(asked.pk)
    (message,) = mail.outbox
    assert message.to == ["alice@example.org"]
    assert message.subject == "Your request for credits was approved"
    assert message.body == (
        "You received 15.00 credits.\n\nFor <b> & you\n\n"
        "Your credits:\n\nhttps://studio.example.org/credits/\n\nDarkroom\n"
    )


@pytest.mark.usefixtures("sent_tasks", "mail_server")
def test_the_user_hears_by_mail_that_nothing_was_given(
    alice: User, charlie: User, settings: LazySettings
) -> None:
    settings.PUBLIC_URL = ""
    asked = asked_by(alice)
    decline_request(request_id=asked.pk, actor=charlie, answer="Next month again.")
    tasks.tell_decision(asked.pk)
    (message,) = mail.outbox
    assert message.subject == "Your request for credits was declined"
    assert message.body == (
        "Your request for 40.00 credits was declined.\n\nNext month again.\n\nDarkroom\n"
    )


@pytest.mark.usefixtures("sent_tasks", "mail_server")
def test_the_answer_is_in_the_language_of_the_user_and_not_of_who_gives_it(
    alice: User, charlie: User
) -> None:
    User.objects.filter(pk=alice.pk).update(language="ko")
    asked = asked_by(alice)
    approve_request(request_id=asked.pk, actor=charlie)
    with translation.override("en"):
        tasks.tell_decision(asked.pk)
    (message,) = mail.outbox
    assert message.subject == "크레딧 요청이 승인되었습니다"
    assert "크레딧이 지급되었습니다" in message.body


@pytest.mark.usefixtures("sent_tasks")
def test_without_a_mail_server_no_mail_is_written(alice: User, charlie: User) -> None:
    asked = asked_by(alice)
    approve_request(request_id=asked.pk, actor=charlie)
    assert requests.tell_decision(request_id=asked.pk) is False
    assert mail.outbox == []


@pytest.mark.usefixtures("mail_server")
def test_an_open_request_is_not_told(alice: User) -> None:
    assert requests.tell_decision(request_id=asked_by(alice).pk) is False


@pytest.mark.usefixtures("sent_tasks", "mail_server")
def test_a_mail_server_that_is_away_is_logged_and_no_more(
    alice: User,
    charlie: User,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def away(_asked: CreditRequest) -> None:
        raise smtplib.SMTPServerDisconnected("gone")

    asked = asked_by(alice)
    approve_request(request_id=asked.pk, actor=charlie)
    monkeypatch.setattr(mails, "send_decision", away)
    with caplog.at_level(logging.ERROR):
        assert requests.tell_decision(request_id=asked.pk) is False
    assert "could not be mailed" in caplog.text
