"""What the studio is doing, in figures for its first page in the admin site.

The queue is counted now, inside its indexes. Sums over a month of the ledger are up to a minute
old (`read_month`), so that the page costs the same however often it is opened.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, F, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import TruncDay, TruncHour
from django.utils import timezone

from webapp.core.days import start_of
from webapp.core.units import to_ucr
from webapp.credits.models import Account, CreditRequest, Entry, Transaction
from webapp.generation.failures import tell_failure
from webapp.generation.models import Image

logger = logging.getLogger(__name__)

HOURS = 24
DAYS = 30
TOP_USERS = 10
FAILURES = 5
FRESH_S = 60
Kind = Transaction.Kind
GIVEN = (Kind.GRANT, Kind.TOP_UP, Kind.CODE, Kind.ALLOWANCE, Kind.INVITATION)


@dataclass(frozen=True, slots=True)
class QueueNow:
    """How many images wait and are being drawn, and since when the first one of them waits."""

    waiting: int
    developing: int
    oldest_at: datetime | None

    @property
    def oldest_wait_s(self) -> float | None:
        """How long the first one has waited; None if nothing waits."""
        if self.oldest_at is None:
            return None
        return max(0.0, (timezone.now() - self.oldest_at).total_seconds())


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours of a day, oldest first, and how many images each saw finished and failed."""

    at: list[datetime]
    stored: list[int]
    failed: list[int]


@dataclass(frozen=True, slots=True)
class Failures:
    """One code of failure: how often, when last, and the sentence that the owner saw then."""

    code: str
    times: int
    last_at: datetime
    sentence: str


@dataclass(frozen=True, slots=True)
class Spender:
    """What somebody spent on how many images; the id is None if the account was closed."""

    user_id: int | None
    name: str
    spent_ucr: int
    images: int


@dataclass(frozen=True, slots=True)
class Month:
    """Thirty days of the ledger, oldest first, today included."""

    days: list[date] = field(default_factory=list)
    granted_ucr: list[int] = field(default_factory=list)
    spent_ucr: list[int] = field(default_factory=list)
    spenders: list[Spender] = field(default_factory=list)
    low_accounts: int = 0


def count_queue() -> QueueNow:
    """How many images wait and how many are being drawn, and since when the oldest waits."""
    # Each state has an index of its own: asked for both at once, neither would be used.
    queued = Image.objects.filter(state=Image.State.QUEUED)
    waiting = queued.aggregate(waiting=Count("pk"), oldest_at=Min("created_at"))
    developing = Image.objects.filter(state=Image.State.RUNNING).count()
    return QueueNow(developing=developing, **waiting)


def count_hours() -> Hours:
    """Images finished and failed in each of the last 24 hours, this one included."""
    this_hour = timezone.localtime().replace(minute=0, second=0, microsecond=0)
    at = [this_hour - timedelta(hours=HOURS - 1 - back) for back in range(HOURS)]
    counted = (
        Image.objects.filter(finished_at__gte=at[0])
        .annotate(hour=TruncHour("finished_at"))
        .values("hour")
        .annotate(
            stored=Count("pk", filter=Q(state=Image.State.STORED)),
            failed=Count("pk", filter=Q(state=Image.State.FAILED)),
        )
        .order_by("hour")
    )
    rows = {row["hour"]: row for row in counted}
    return Hours(
        at=at,
        stored=[rows[hour]["stored"] if hour in rows else 0 for hour in at],
        failed=[rows[hour]["failed"] if hour in rows else 0 for hour in at],
    )


def list_failures() -> list[Failures]:
    """The commonest failures of the last 24 hours, each with its newest sentence."""
    failed = Image.objects.filter(
        state=Image.State.FAILED, finished_at__gte=timezone.now() - timedelta(hours=HOURS)
    )
    counted = (
        failed.values("failure_code")
        .annotate(times=Count("pk"), last_at=Max("finished_at"))
        .order_by("-times", "failure_code")[:FAILURES]
    )
    codes = list(counted)
    newest = dict(
        failed.filter(finished_at__in=[row["last_at"] for row in codes])
        .order_by("finished_at")
        .values_list("failure_code", "failure")
    )
    return [
        Failures(
            code=row["failure_code"],
            times=row["times"],
            last_at=row["last_at"],
            sentence=tell_failure(
                code=row["failure_code"], sentence=newest.get(row["failure_code"], "")
            ),
        )
        for row in codes
    ]


def count_open_requests() -> int:
    """How many requests for credits wait for an answer."""
    return CreditRequest.objects.filter(state=CreditRequest.State.OPEN).count()


def read_month() -> Month:
    """The last thirty days of the ledger, at most a minute old; without Valkey just read."""
    today = timezone.localdate()
    return _remember(f"figures:month:{settings.TIME_ZONE}:{today}", lambda: _sum_month(today))


def _remember(key: str, read: Callable[[], Month]) -> Month:
    try:
        known: Month | None = cache.get(key)
        if known is None:
            known = read()
            cache.set(key, known, FRESH_S)
    except redis.RedisError as error:
        logger.warning("figures are not kept: %s", error)
        return read()
    return known


def _sum_month(today: date) -> Month:
    days = [today - timedelta(days=DAYS - 1 - back) for back in range(DAYS)]
    lines = lines_since(start_of(days[0]))
    sums = {
        (row["day"].date(), row["kind"]): row["total"]
        for row in lines.filter(kind__in=[*GIVEN, Kind.CAPTURE])
        .annotate(day=TruncDay("at"))
        .values("day", "kind")
        .annotate(total=Sum("amount_ucr"))
        .order_by()
    }
    return Month(
        days=days,
        granted_ucr=[sum(sums.get((day, kind), 0) for kind in GIVEN) for day in days],
        spent_ucr=[-sums.get((day, Kind.CAPTURE), 0) for day in days],
        spenders=_list_spenders(lines),
        low_accounts=_count_low_accounts(),
    )


def lines_since(moment: datetime) -> QuerySet[Entry]:
    """The lines of people's accounts since then. Ids and times rise together but for the length
    of a transaction: from an hour before on, the primary key leads there."""
    first = (
        Transaction.objects.filter(created_at__gte=moment - timedelta(hours=1))
        .order_by("created_at", "pk")
        .values_list("entries__pk", flat=True)
        .first()
    )
    lines = Entry.objects.filter(balance_after_ucr__isnull=False, at__gte=moment)
    return lines.none() if first is None else lines.filter(pk__gte=first)


def _list_spenders(lines: Any) -> list[Spender]:
    top = (
        lines.filter(kind=Kind.CAPTURE)
        .values("account")
        .annotate(total=Sum("amount_ucr"), images=Count("pk"))
        .order_by("total", "account")[:TOP_USERS]
    )
    rows = list(top)
    accounts = Account.objects.select_related("user").in_bulk([row["account"] for row in rows])
    return [
        Spender(
            user_id=accounts[row["account"]].user_id,
            name=str(accounts[row["account"]]),
            spent_ucr=-row["total"],
            images=row["images"],
        )
        for row in rows
    ]


def _count_low_accounts() -> int:
    """People who can sign in and have less than `DARKROOM_LOW_BALANCE` to spend."""
    threshold_ucr = to_ucr(settings.LOW_BALANCE)
    return Account.objects.filter(
        user__is_active=True, posted_ucr__lt=F("held_ucr") + threshold_ucr
    ).count()
