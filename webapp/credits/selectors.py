"""Reading the books: balances, statements, receipts."""

import uuid
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone

from webapp.accounts.models import User
from webapp.credits.models import Account, Entry, Hold


@dataclass(frozen=True, slots=True)
class Balance:
    """What a user has, in micro-credits."""

    posted_ucr: int
    held_ucr: int

    @property
    def available_ucr(self) -> int:
        """Posted minus held."""
        return self.posted_ucr - self.held_ucr


@dataclass(frozen=True, slots=True)
class MonthSpend:
    """What a user spent since the first of this month, and how many images it bought."""

    spent_ucr: int
    images: int
    not_charged: int


def get_balance(*, user: User) -> Balance:
    """The user's balance; raises Account.DoesNotExist for a user without an account."""
    account = Account.objects.only("posted_ucr", "held_ucr").get(user=user)
    return Balance(posted_ucr=account.posted_ucr, held_ucr=account.held_ucr)


def get_statement(*, user: User) -> QuerySet[Entry]:
    """The user's entries, newest first, with their transactions."""
    return Entry.objects.filter(account__user=user).select_related("transaction").order_by("-id")


def get_month_spend(*, user: User) -> MonthSpend:
    """Captured and released holds since the first of this month, in the current time zone."""
    first = timezone.localtime().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    captured, released = Q(state=Hold.State.CAPTURED), Q(state=Hold.State.RELEASED)
    sums = Hold.objects.filter(account__user=user, resolved_at__gte=first).aggregate(
        spent=Sum("amount_ucr", filter=captured),
        images=Count("id", filter=captured),
        not_charged=Count("id", filter=released),
    )
    return MonthSpend(sums["spent"] or 0, sums["images"], sums["not_charged"])


def count_open_holds(*, user: User) -> int:
    """How many images of the user are still being worked on."""
    return Hold.objects.filter(account__user=user, state=Hold.State.HELD).count()


def get_hold(*, image_id: uuid.UUID) -> Hold | None:
    """The hold of an image; None where the image was free."""
    return Hold.objects.filter(image_id=image_id).first()
