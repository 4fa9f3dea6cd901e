"""What an administrator looks at before answering a request for credits."""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import (
    BigIntegerField,
    Count,
    Exists,
    F,
    OuterRef,
    QuerySet,
    Subquery,
    Sum,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from webapp.credits.models import Account, CreditRequest, Entry, Hold, Transaction

SPEND_DAYS = 30


@dataclass(frozen=True, slots=True)
class Applicant:
    """What the person who asks has and used, in micro-credits and images."""

    available_ucr: int
    spent_ucr: int
    images: int


def with_applicants(requests: QuerySet[CreditRequest]) -> QuerySet[CreditRequest]:
    """The requests with `available_ucr`, `spent_ucr` and `images` of whoever asks: what is
    available now, and what the last 30 days' images cost and were."""
    account = Account.objects.filter(user=OuterRef("user"))
    available = account.values(left=F("posted_ucr") - F("held_ucr"))
    paid = _paid().order_by().values("account")  # one group
    spent = paid.annotate(total=Sum("amount_ucr")).values("total")
    images = paid.annotate(total=Count("pk")).values("total")
    return requests.annotate(
        available_ucr=_number(available), spent_ucr=_number(spent), images=_number(images)
    )


def get_applicant(*, request_id: int) -> Applicant:
    """The same of one request. Raises CreditRequest.DoesNotExist."""
    found = with_applicants(CreditRequest.objects.filter(pk=request_id)).get()
    names = ("available_ucr", "spent_ucr", "images")
    return Applicant(**{name: getattr(found, name) for name in names})


def _paid() -> QuerySet[Hold]:
    """What the images cost that the person who asks paid for, and was not given back."""
    since = timezone.now() - timedelta(days=SPEND_DAYS)
    refunds = Entry.objects.filter(image_id=OuterRef("image_id"), kind=Transaction.Kind.REFUND)
    return Hold.objects.filter(
        ~Exists(refunds),
        account__user=OuterRef("user"),
        state=Hold.State.CAPTURED,
        resolved_at__gte=since,
    )


def _number(rows: QuerySet) -> Coalesce:  # type: ignore[type-arg]
    return Coalesce(Subquery(rows), 0, output_field=BigIntegerField())
