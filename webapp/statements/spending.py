"""What was spent: this month, and on each of the last thirty days."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from webapp.core.charts import Series, bar_chart
from webapp.core.days import start_of
from webapp.core.units import format_credits
from webapp.credits.models import Account, Entry, Hold, Transaction

DAYS_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Spending:
    """In micro-credits: what images cost on each of the last thirty days, oldest first, and what
    happened since the first of this month."""

    days_ucr: Mapping[date, int]
    spent_ucr: int
    images: int
    refunded_ucr: int
    not_charged: int


@dataclass(frozen=True, slots=True)
class Charged:
    """What was charged on one day, and for how many images."""

    amount_ucr: int
    images: int


def read_spending(*, account: Account) -> Spending:
    """What the account spent, in days of the studio's time zone, in three queries."""
    today = timezone.localdate()
    first = today.replace(day=1)
    shown = [today - timedelta(days=ago) for ago in range(DAYS_SHOWN - 1, -1, -1)]
    charged = _charged_by_day(account, since=min(first, shown[0]))
    this_month = [one for day, one in charged.items() if day >= first]
    refunds = Entry.objects.filter(
        account=account, kind=Transaction.Kind.REFUND, at__gte=start_of(first)
    )
    released = _ended(account, Hold.State.RELEASED, since=first)
    return Spending(
        days_ucr={day: charged[day].amount_ucr if day in charged else 0 for day in shown},
        spent_ucr=sum(one.amount_ucr for one in this_month),
        images=sum(one.images for one in this_month),
        refunded_ucr=refunds.aggregate(total=Sum("amount_ucr"))["total"] or 0,
        not_charged=released.count(),
    )


def draw_spending(spending: Spending) -> str:
    """The last thirty days as a chart, safe HTML."""
    days = list(spending.days_ucr)
    values = list(spending.days_ucr.values())
    return bar_chart(
        slug="spending",
        title=_("Credits spent per day, last 30 days"),
        labels=[date_format(day, "MONTH_DAY_FORMAT") for day in days],
        long_labels=[date_format(day) for day in days],
        series=[Series(_("Credits"), values)],
        format_value=format_credits,
        label_name=_("Day"),
    )


def _charged_by_day(account: Account, *, since: date) -> dict[date, Charged]:
    days = _ended(account, Hold.State.CAPTURED, since=since).annotate(day=TruncDate("resolved_at"))
    sums = days.values("day").annotate(amount=Sum("amount_ucr"), images=Count("*")).order_by()
    return {row["day"]: Charged(row["amount"], row["images"]) for row in sums}


def _ended(account: Account, state: Hold.State, *, since: date) -> QuerySet[Hold]:
    """Holds rather than entries: their index goes straight to the days that are asked for."""
    return Hold.objects.filter(account=account, state=state, resolved_at__gte=start_of(since))
