"""Codes that people redeem for credits: made in batches, given out as a CSV, each used up by a
conditional UPDATE. Locks: batch (shared), code, account, entry.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core import audit
from webapp.core.errors import Conflict, DarkroomError, InvalidInput, NotFound
from webapp.core.idempotency import OTHER_CONTENT
from webapp.core.rates import count_attempt, give_back_attempt
from webapp.core.texts import check_text
from webapp.core.units import format_credits
from webapp.credits import ledger
from webapp.credits.code_text import derive_code, digest_code, read_code, write_code
from webapp.credits.ledger.mailbox_grants import digests_of
from webapp.credits.ledger.posting import lock_account
from webapp.credits.models import Account, Code, CodeBatch, CodeUse, MailboxGrant, Transaction

MAX_CODES = 10_000
MAX_USES = 1_000_000
MAX_NAME_LENGTH = 80
MAX_REASON_LENGTH = 500
WRITTEN_AT_ONCE = 2_000

HOUR_S = 3600
ATTEMPTS_PER_USER = 10
ATTEMPTS_PER_ADDRESS = 30

# A shared lock on the batch: whoever revokes it waits for those who are redeeming, and whoever
# comes later finds it revoked.
OPEN_BATCH_SQL = """
SELECT b.id FROM credits_codebatch b JOIN credits_code c ON c.batch_id = b.id
WHERE c.digest = %s AND b.revoked_at IS NULL
    AND (b.expires_at IS NULL OR b.expires_at > statement_timestamp())
FOR SHARE OF b
"""


@dataclass(frozen=True, slots=True)
class WrittenCode:
    """One line of a batch's CSV: a code as it is given out, and how many people can still redeem
    it."""

    text: str
    uses_left: int


@dataclass(frozen=True, slots=True)
class BatchUse:
    """How far a batch is used up; `given_ucr` is what its codes gave so far."""

    uses: int
    people: int
    untouched: int
    given_ucr: int


@transaction.atomic
def create_batch(
    *,
    batch_id: uuid.UUID,
    actor: User,
    name: str,
    amount_ucr: int,
    count: int,
    uses_per_code: int = 1,
    per_user_limit: int = 1,
    expires_at: datetime | None = None,
) -> CodeBatch:
    """Makes `count` codes of `amount_ucr` each. The same `batch_id` and body twice is one batch.

    Raises InvalidInput, naming the field, for what a batch cannot have, and Conflict if the
    id was used for another batch.
    """
    body: dict[str, Any] = {
        "name": name.strip(),
        "amount_ucr": amount_ucr,
        "count": count,
        "uses_per_code": uses_per_code,
        "per_user_limit": per_user_limit,
        "expires_at": expires_at,
    }
    _check_batch(body)
    batch, created = CodeBatch.objects.get_or_create(
        id=batch_id, defaults={**body, "created_by": actor}
    )
    if not created:
        return _same_or_conflict(batch, body)
    _check_expiry(expires_at)
    _write_codes(batch)
    audit.record(actor=actor, action="codes.create", subject=batch, after=_facts(batch))
    return batch


@transaction.atomic
def revoke_batch(*, batch_id: uuid.UUID, actor: User, reason: str) -> None:
    """Ends the batch: what was redeemed stays, no further use commits after this returns.

    Raises NotFound without such a batch, InvalidInput without a reason, and Conflict if it
    was revoked before.
    """
    batch = get_batch(batch_id=batch_id)
    check_text(reason, field="reason", most=MAX_REASON_LENGTH)
    now = timezone.now()
    if not CodeBatch.objects.filter(pk=batch_id, revoked_at=None).update(revoked_at=now):
        raise Conflict(_("These codes are already revoked."))
    audit.record(
        actor=actor,
        action="codes.revoke",
        subject=batch,
        reason=reason.strip(),
        after={"revoked_at": now.isoformat()},
    )


@transaction.atomic
def export_batch(*, batch_id: uuid.UUID, actor: User) -> list[WrittenCode]:
    """Every code of the batch, to be given out; that it was read stands in the audit log.

    Raises NotFound without such a batch, and Conflict if the studio's secret is another one
    than when the codes were made: what could be written then would be none of them.
    """
    batch = get_batch(batch_id=batch_id)
    lines = []
    for code in batch.codes.order_by("number"):
        text = derive_code(batch_id=batch.pk, number=code.number)
        if digest_code(text) != code.digest:
            sentence = _("The studio's secret key was changed since: these codes are lost.")
            raise Conflict(sentence)
        lines.append(WrittenCode(write_code(text), code.uses_left))
    audit.record(actor=actor, action="codes.export", subject=batch, after={"codes": len(lines)})
    return lines


def get_batch(*, batch_id: uuid.UUID) -> CodeBatch:
    """The batch. Raises NotFound if there is none with that id."""
    batch = CodeBatch.objects.filter(pk=batch_id).first()
    if batch is None:
        raise NotFound(_("There is no such batch of codes."))
    return batch


def last_day(batch: CodeBatch) -> date | None:
    """The last day on which its codes are good, in the current time zone; None: for ever."""
    if batch.expires_at is None:
        return None
    return timezone.localtime(batch.expires_at - timedelta(microseconds=1)).date()


def summarise_batch(*, batch: CodeBatch) -> BatchUse:
    """Uses, people, codes that nobody has used and micro-credits given, read now in two queries."""
    uses = CodeUse.objects.filter(code__batch=batch).aggregate(
        uses=Count("id"), people=Count("account", distinct=True)
    )
    untouched = batch.codes.filter(uses_left=batch.uses_per_code).count()
    given_ucr = uses["uses"] * batch.amount_ucr
    return BatchUse(uses["uses"], uses["people"], untouched, given_ucr)


def count_redeem_attempt(*, user: User, address: str) -> None:
    """Counts one try to redeem: 10 an hour for a person, 30 for an address. A code that was right
    gives it back, so that a class behind one address redeems as many as it has.

    Raises TooMany, with when to try again, beyond that.
    """
    count_attempt(name=_by_user(user), limit=ATTEMPTS_PER_USER, window_s=HOUR_S)
    count_attempt(name=_by_address(address), limit=ATTEMPTS_PER_ADDRESS, window_s=HOUR_S)


def give_back_redeem_attempt(*, user: User, address: str) -> None:
    """Takes back what `count_redeem_attempt` counted: the code was right."""
    give_back_attempt(name=_by_user(user))
    give_back_attempt(name=_by_address(address))


@transaction.atomic
def redeem_code(*, user: User, text: str) -> int:
    """Posts the code's credits on the user's account, and returns how many micro-credits.

    Raises InvalidInput if there is no such code, and Conflict if it is used up, expired
    or revoked, if the user redeemed it before, or as many of its batch as one person may:
    under this account, or under another one of the same mailbox.
    """
    digest = digest_code(read_code(text))
    if not _take_use(digest):
        raise _why_not(digest, user)
    code = Code.objects.select_related("batch").get(digest=digest)
    # Locked before the uses are counted: two codes of one batch at once count each other.
    account = lock_account(user=user)
    _check_limit(code, account, user)
    key = f"code:{code.pk}:{user.pk}"
    ledger.post_grant(
        user=user,
        amount_ucr=code.batch.amount_ucr,
        kind=Transaction.Kind.CODE,
        key=key,
        what=f"code:{code.pk}",
    )
    posted = Transaction.objects.get(idempotency_key=key)
    CodeUse.objects.create(code=code, account=account, transaction=posted)
    return code.batch.amount_ucr


def _by_user(user: User) -> str:
    return f"redeem:user:{user.pk}"


def _by_address(address: str) -> str:
    return f"redeem:address:{address}"


def _take_use(digest: str) -> bool:
    """True if one use of the code is this transaction's now."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN_BATCH_SQL, [digest])
        if cursor.fetchone() is None:
            return False
    taken = Code.objects.filter(digest=digest, uses_left__gt=0).update(uses_left=F("uses_left") - 1)
    return taken == 1


def _check_limit(code: Code, account: Account, user: User) -> None:
    uses = _uses_of(account, user).filter(code__batch=code.batch)
    if uses.filter(code=code).exists():
        raise _redeemed_before()
    most = code.batch.per_user_limit
    if uses.count() < most:
        return
    if most == 1:
        raise Conflict(
            _("You have already redeemed a code of this kind. Each person can redeem only one.")
        )
    sentence = _("You have already redeemed %(most)d codes of this kind, which is the limit.")
    raise Conflict(sentence % {"most": most})


def _uses_of(account: Account, user: User) -> QuerySet[CodeUse]:
    """Of the account, and of the mailbox under whatever account."""
    given = MailboxGrant.objects.filter(mailbox__in=digests_of(user))
    return CodeUse.objects.filter(
        Q(account=account) | Q(transaction__in=given.values("transaction"))
    )


def _redeemed_before() -> Conflict:
    return Conflict(_("You have redeemed this code already."))


def _why_not(digest: str, user: User) -> DarkroomError:
    code = Code.objects.filter(digest=digest).select_related("batch").first()
    if code is None:
        sentence = _("There is no such code. Check it letter by letter.")
        return InvalidInput(sentence, field="code")
    if CodeUse.objects.filter(code=code, account__user=user).exists():
        return _redeemed_before()
    if code.batch.revoked_at is not None:
        return Conflict(_("This code was revoked by an administrator."))
    if not code.uses_left:
        return Conflict(_("This code is used up."))
    sentence = _("This code has expired; its last day was %(day)s.")
    return Conflict(sentence % {"day": last_day(code.batch)})


def _write_codes(batch: CodeBatch) -> None:
    rows = (
        Code(
            batch=batch,
            number=number,
            digest=digest_code(derive_code(batch_id=batch.pk, number=number)),
            uses_left=batch.uses_per_code,
        )
        for number in range(1, batch.count + 1)
    )
    Code.objects.bulk_create(rows, batch_size=WRITTEN_AT_ONCE)


def _check_batch(body: Mapping[str, Any]) -> None:
    check_text(body["name"], field="name", most=MAX_NAME_LENGTH)
    if not 0 < body["amount_ucr"] <= ledger.MAX_BY_HAND_UCR:
        sentence = _("A code gives more than 0 and at most %(most)s credits.")
        most_credits = format_credits(ledger.MAX_BY_HAND_UCR)
        raise InvalidInput(sentence % {"most": most_credits}, field="amount")
    for field, most in (
        ("count", MAX_CODES),
        ("uses_per_code", MAX_USES),
        ("per_user_limit", MAX_CODES),
    ):
        if not 1 <= body[field] <= most:
            sentence = _("Enter a number from 1 to %(most)d.") % {"most": most}
            raise InvalidInput(sentence, field=field)


def _check_expiry(expires_at: datetime | None) -> None:
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidInput(_("Codes can only expire in the future."), field="expires_at")


def _same_or_conflict(batch: CodeBatch, body: Mapping[str, Any]) -> CodeBatch:
    if all(getattr(batch, name) == value for name, value in body.items()):
        return batch
    raise Conflict(OTHER_CONTENT)


def _facts(batch: CodeBatch) -> dict[str, Any]:
    return {
        "amount": format_credits(batch.amount_ucr),
        "codes": batch.count,
        "people_per_code": batch.uses_per_code,
        "codes_per_person": batch.per_user_limit,
        "until": batch.expires_at.isoformat() if batch.expires_at else None,
    }
