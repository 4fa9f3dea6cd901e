"""What the database says of the studio for `/metrics`. Each figure is one query inside an index or
a short table; none reads all images or the whole ledger.

What a query costs grows with: what waits (queue), what is drawn (running), ten minutes' images
(recent), the open images' holds (held), a day's lines of the ledger (granted, spent); nothing for
the last check, the notices and the last backup.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Count, Sum
from django.utils import timezone

from webapp.core.days import start_of
from webapp.core.models import Notice
from webapp.credits.models import Hold, Transaction
from webapp.generation.models import Image, QueueShare
from webapp.operations.backups.runs import last_good_times
from webapp.operations.figures import GIVEN, QueueNow, count_queue, lines_since
from webapp.operations.models import BackupRun, BooksCheck

RECENT = timedelta(minutes=10)
ENDED = (Image.State.STORED, Image.State.FAILED, Image.State.CANCELLED)


@dataclass(frozen=True, slots=True)
class LedgerCheck:
    """The newest check of the ledger: when it was, and how many faults it found."""

    at: datetime
    violations: int


@dataclass(frozen=True, slots=True)
class ScrapeFigures:
    """The studio now; `granted_ucr` and `spent_ucr` since the studio's midnight."""

    queue: QueueNow
    waiting_by_model: Mapping[str, int]
    recent: Mapping[str, int]
    held_ucr: int
    granted_ucr: int
    spent_ucr: int
    notices: int
    check: LedgerCheck | None = field(default=None)
    backup_at: datetime | None = None
    drill_at: datetime | None = None


def read_figures() -> ScrapeFigures:
    """All of them; raises the database's errors."""
    granted_ucr, spent_ucr = _sum_today()
    last = last_good_times()
    return ScrapeFigures(
        queue=count_queue(),
        waiting_by_model=_count_waiting(),
        recent=_count_recent(),
        held_ucr=_sum_held(),
        granted_ucr=granted_ucr,
        spent_ucr=spent_ucr,
        notices=Notice.objects.count(),
        check=_read_check(),
        backup_at=last.get(BackupRun.Kind.BACKUP),
        drill_at=last.get(BackupRun.Kind.DRILL),
    )


def _count_waiting() -> dict[str, int]:
    """Waiting images by the slug of their model: the shares of the queue know."""
    shares = QueueShare.objects.filter(queued__gt=0).values_list("model__slug")
    return dict(shares.annotate(Sum("queued")).order_by("model__slug"))


def _count_recent() -> dict[str, int]:
    """How many images ended in the last ten minutes, by state."""
    since = timezone.now() - RECENT
    ended = Image.objects.filter(finished_at__gte=since).values_list("state")
    return {str(state): 0 for state in ENDED} | dict(ended.annotate(Count("pk")).order_by("state"))


def _sum_held() -> int:
    """What the images that wait or are drawn will cost."""
    open_holds = Hold.objects.filter(state=Hold.State.HELD)
    return open_holds.aggregate(sum=Sum("amount_ucr"))["sum"] or 0


def _sum_today() -> tuple[int, int]:
    """What people were given and what they spent since the studio's midnight."""
    capture = Transaction.Kind.CAPTURE
    lines = lines_since(start_of(timezone.localdate())).filter(kind__in=[*GIVEN, capture])
    sums: dict[str, int] = dict(lines.values_list("kind").annotate(Sum("amount_ucr")).order_by())
    return sum(sums.get(kind, 0) for kind in GIVEN), -sums.get(capture, 0)


def _read_check() -> LedgerCheck | None:
    newest = BooksCheck.objects.only("at", "violations").first()
    return None if newest is None else LedgerCheck(newest.at, newest.violations)
