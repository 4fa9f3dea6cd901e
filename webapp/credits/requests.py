"""A user asks for credits, and an administrator answers: open -> approved | declined | withdrawn.

Every answer is a conditional UPDATE on the open state, so that two administrators, or one who
clicks twice, give credits once. Locks: request, account.
"""

import logging
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core import audit, herald
from webapp.core.errors import Conflict, InvalidInput, NotFound, TooMany
from webapp.core.texts import check_text
from webapp.core.units import format_credits
from webapp.credits import ledger, mails
from webapp.credits.models import CreditRequest

logger = logging.getLogger(__name__)

MAX_REASON_LENGTH = 500
MAX_ANSWER_LENGTH = ledger.MAX_REASON_LENGTH
ASKED_A_DAY = 5
MAIL_TASK = "webapp.credits.tasks.tell_decision"

Answered = CreditRequest.State


@transaction.atomic
def ask_for_credits(*, user: User, amount_ucr: int, reason: str) -> CreditRequest:
    """The user's request, open until somebody answers it.

    Raises InvalidInput for an amount or a reason that is not allowed, Conflict if a request
    of the user is open already, and TooMany beyond five within a day (withdrawn ones count).
    """
    _check_amount(amount_ucr)
    check_text(reason, field="reason", most=MAX_REASON_LENGTH)
    since = timezone.now() - timedelta(days=1)
    if CreditRequest.objects.filter(user=user, created_at__gte=since).count() >= ASKED_A_DAY:
        sentence = _("You can send %(most)d requests a day. Try again tomorrow.")
        raise TooMany(sentence % {"most": ASKED_A_DAY})
    try:
        with transaction.atomic():
            return CreditRequest.objects.create(
                user=user, amount_ucr=amount_ucr, reason=reason.strip()
            )
    except IntegrityError as error:
        raise Conflict(_("You already have an open request. Wait for the answer.")) from error


@transaction.atomic
def withdraw_request(*, user: User, request_id: int) -> None:
    """Takes the user's own request back. Raises NotFound for somebody else's, and Conflict if
    it was answered before."""
    asked = _first(CreditRequest.objects.filter(pk=request_id, user=user))
    _close(asked, state=Answered.WITHDRAWN)


@transaction.atomic
def approve_request(
    *, request_id: int, actor: User, amount_ucr: int | None = None, answer: str = ""
) -> CreditRequest:
    """Gives what was asked for, or `amount_ucr`, and answers the request; the user sees `answer`
    on the statement and gets a mail.

    Raises NotFound, Conflict if it was answered before, and InvalidInput for an amount or an
    answer that is not allowed.
    """
    asked = get_request(request_id=request_id)
    granted_ucr = asked.amount_ucr if amount_ucr is None else amount_ucr
    _check_amount(granted_ucr)
    if answer.strip():
        check_text(answer, field="answer", most=MAX_ANSWER_LENGTH)
    _close(
        asked,
        state=Answered.APPROVED,
        granted_ucr=granted_ucr,
        answer=answer.strip(),
        decided_by=actor,
    )
    ledger.top_up(
        user=asked.user,
        amount_ucr=granted_ucr,
        actor=actor,
        reason=answer.strip() or _("You asked for credits"),
        note=_("Request %(id)d: %(reason)s")
        % {"id": asked.pk, "reason": asked.reason[: ledger.MAX_NOTE_LENGTH - 100]},
        key=f"request:{asked.pk}",
    )
    _record(asked, actor=actor, action="request.approve")
    return asked


@transaction.atomic
def decline_request(*, request_id: int, actor: User, answer: str) -> CreditRequest:
    """Answers the request without credits; the user sees why. Raises as `approve_request`, and
    InvalidInput without an answer."""
    asked = get_request(request_id=request_id)
    check_text(answer, field="answer", most=MAX_ANSWER_LENGTH)
    _close(asked, state=Answered.DECLINED, answer=answer.strip(), decided_by=actor)
    _record(asked, actor=actor, action="request.decline")
    return asked


def get_request(*, request_id: int) -> CreditRequest:
    """The request with its user. Raises NotFound if there is none with that id."""
    return _first(CreditRequest.objects.filter(pk=request_id).select_related("user"))


def _first(asked: QuerySet[CreditRequest]) -> CreditRequest:
    found = asked.first()
    if found is None:
        raise NotFound(_("There is no such request."))
    return found


def count_open_requests() -> int:
    """How many people wait for an answer."""
    return CreditRequest.objects.filter(state=Answered.OPEN).count()


def tell_decision(*, request_id: int) -> bool:
    """Mails the answer to the user. False if the request is gone or open, or no mail server is
    configured or answers."""
    asked = CreditRequest.objects.filter(
        pk=request_id, state__in=[Answered.APPROVED, Answered.DECLINED]
    ).first()
    if asked is None or not mails.is_configured():
        return False
    try:
        mails.send_decision(asked)
    except mails.MAIL_ERRORS as error:
        logger.error("the answer to request %s could not be mailed: %s", request_id, error)
        return False
    return True


def _close(asked: CreditRequest, **facts: object) -> None:
    """Moves the request out of `open`, in the table and in hand."""
    facts["decided_at"] = timezone.now()
    still_open = CreditRequest.objects.filter(pk=asked.pk, state=Answered.OPEN)
    if not still_open.update(**facts):
        raise Conflict(_("This request has already been answered or withdrawn."))
    for name, value in facts.items():
        setattr(asked, name, value)


def _record(asked: CreditRequest, *, actor: User, action: str) -> None:
    """The line in the audit log, under the user whom it is about; the mail goes out on commit."""
    granted = None if asked.granted_ucr is None else format_credits(asked.granted_ucr)
    audit.record(
        actor=actor,
        action=action,
        subject=asked.user,
        reason=asked.answer,
        before={"request": asked.pk, "asked": format_credits(asked.amount_ucr)},
        after={"state": str(asked.state), "granted": granted},
    )
    transaction.on_commit(lambda: _send_mail_later(asked.pk))


def _send_mail_later(request_id: int) -> None:
    """By a worker: an administrator who answers twenty requests does not wait for twenty mails."""
    what = f"the mail with the answer to request {request_id}"
    herald.send_task(MAIL_TASK, what=what, args=[request_id])


def _check_amount(amount_ucr: int) -> None:
    if not 0 < amount_ucr <= ledger.MAX_BY_HAND_UCR:
        most = format_credits(ledger.MAX_BY_HAND_UCR)
        sentence = _("Enter more than 0 and at most %(most)s credits.")
        raise InvalidInput(sentence % {"most": most}, field="amount")
