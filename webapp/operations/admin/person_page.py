"""All that answers "why was I charged?" about one person, in a fixed number of queries."""

from typing import Any

from allauth.account.models import EmailAddress
from django.utils import timezone

from webapp.accounts.models import User, UserGroup
from webapp.core.models import AuditLine
from webapp.credits.ledger.mailbox_grants import digests_of
from webapp.credits.ledger.undo import UNDOABLE
from webapp.credits.models import (
    Account,
    CodeUse,
    CreditRequest,
    Entry,
    Hold,
    MailboxGrant,
    Transaction,
)
from webapp.generation.models import Generation, Image

LINES = 20
FEW = 5


def describe_person(user: User) -> dict[str, Any]:
    """What the page of a person shows below its form; neither prompts nor images."""
    account = Account.objects.filter(user=user).first()
    return {
        "account": account,
        "allowance": _describe_allowance(user),
        "mailboxes": list(EmailAddress.objects.filter(user=user).order_by("-primary", "pk")[:FEW]),
        "lines": _list_lines(account),
        "images": _list_images(user),
        "open_holds": list(
            Hold.objects.filter(account=account, state=Hold.State.HELD).order_by("-pk")[:LINES]
        ),
        "requests": list(CreditRequest.objects.filter(user=user)[:FEW]),
        "code_uses": list(
            CodeUse.objects.filter(account=account)
            .select_related("code__batch", "transaction")
            .order_by("-pk")[:FEW]
        ),
        "audit_lines": list(
            AuditLine.objects.filter(subject_kind="user", subject_id=str(user.pk))[:LINES]
        ),
    }


def _describe_allowance(user: User) -> dict[str, Any] | None:
    """What the group gives a month, and whether this month's was given; None without any."""
    if user.group is None or user.group.allowance == UserGroup.Allowance.NONE:
        return None
    month = timezone.localdate().strftime("%Y-%m")
    given = Transaction.objects.filter(idempotency_key=f"monthly:{user.pk}:{month}").first()
    before = MailboxGrant.objects.filter(mailbox__in=digests_of(user), what=f"monthly:{month}")
    return {"group": user.group, "given": given, "given_before": before.exists()}


def _list_lines(account: Account | None) -> list[Entry]:
    """The newest lines, each knowing whether it can be undone or refunded."""
    newest = Entry.objects.filter(account=account).select_related("transaction__reversed_by")
    lines = list(newest.order_by("-pk")[:LINES])
    charged = [line.image_id for line in lines if line.transaction.kind == Transaction.Kind.CAPTURE]
    refunded = _refunded(charged)
    for line in lines:
        is_undone = hasattr(line.transaction, "reversed_by")
        line.is_undone = is_undone  # type: ignore[attr-defined]
        line.can_undo = line.transaction.kind in UNDOABLE and not is_undone  # type: ignore[attr-defined]
        line.is_refunded = line.image_id in refunded  # type: ignore[attr-defined]
        line.can_refund = line.image_id in charged and line.image_id not in refunded  # type: ignore[attr-defined]
    return lines


def _list_images(user: User) -> list[Image]:
    """The newest images, each with its hold (None if it was free), without its prompt."""
    newest = Generation.objects.filter(owner=user).order_by("-created_at").values("pk")[:LINES]
    images = list(
        Image.objects.filter(generation__in=list(newest.values_list("pk", flat=True)))
        .select_related("generation", "model")
        .defer("generation__prompt", "generation__negative_prompt")
        .order_by("-generation__created_at", "index")[:LINES]
    )
    holds = {hold.image_id: hold for hold in Hold.objects.filter(image_id__in=_ids(images))}
    for image in images:
        image.hold = holds.get(image.pk)  # type: ignore[attr-defined]
        image.seconds = _drawn_s(image)  # type: ignore[attr-defined]
    return images


def _drawn_s(image: Image) -> float | None:
    """As its receipt tells it: without the time in the queue. None if it was not drawn to the
    end."""
    if image.started_at is None or image.finished_at is None:
        return None
    return (image.finished_at - image.started_at).total_seconds()


def _ids(images: list[Image]) -> list[Any]:
    return [image.pk for image in images]


def _refunded(image_ids: list[Any]) -> set[Any]:
    refunds = Entry.objects.filter(
        image_id__in=image_ids, kind=Transaction.Kind.REFUND, balance_after_ucr__isnull=False
    )
    return set(refunds.values_list("image_id", flat=True))
