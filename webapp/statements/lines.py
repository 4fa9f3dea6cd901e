"""The lines of a statement: entries of the ledger and holds that were given back, merged by time.

Each of the two is read backwards along its own index from its own cursor, so that any page of any
filter costs the same, and none is shown twice or left out, whatever the clocks say.
"""

import re
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from django.db.models import Q, QuerySet

from webapp.core.errors import InvalidInput
from webapp.core.texts import NO_SUCH_PAGE
from webapp.credits.models import Account, Entry, Hold, Transaction
from webapp.generation.failures import tell_failure
from webapp.generation.models import Image
from webapp.statements.filters import NOT_CHARGED, StatementFilter

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
CURSOR = re.compile("([0-9]{1,18})-([0-9]{1,17})-([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: entries below `entry_id`, holds before (`hold_at`, `hold_id`)."""

    entry_id: int
    hold_at: datetime
    hold_id: int

    def __str__(self) -> str:
        return f"{self.entry_id}-{(self.hold_at - EPOCH) // MICROSECOND}-{self.hold_id}"

    @classmethod
    def read(cls, text: str) -> Self:
        """The cursor that `str` wrote; raises InvalidInput for any other text."""
        found = CURSOR.fullmatch(text)
        if not found:
            raise InvalidInput(NO_SUCH_PAGE, field="before")
        entry_id, microseconds, hold_id = (int(number) for number in found.groups())
        return cls(entry_id, EPOCH + microseconds * MICROSECOND, hold_id)


@dataclass(frozen=True, slots=True)
class LineImage:
    """What a line tells about its image."""

    state: str
    failure: str
    prompt: str


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One line; one that was not charged has neither amount nor balance.

    `kind_name` says what it is, `reason` why if somebody wrote it. `image` is None if the
    line has none, and if its image was deleted.
    """

    key: str
    kind: str
    kind_name: str
    when: datetime
    reason: str = ""
    amount_ucr: int | None = None
    balance_ucr: int | None = None
    image_id: uuid.UUID | None = None
    image: LineImage | None = None

    @property
    def words(self) -> str:
        """The prompt of the image, else the reason, else what kind of line it is; "" for an
        image that was deleted."""
        if self.image:
            return self.image.prompt
        return "" if self.image_id else self.reason or self.kind_name


@dataclass(frozen=True, slots=True)
class StatementPage:
    """Lines, newest first, and where the next page begins; None if there is none."""

    lines: list[StatementLine]
    next_cursor: Cursor | None


def list_lines(
    *, account: Account, asked: StatementFilter, before: Cursor | None, limit: int
) -> StatementPage:
    """Up to `limit` lines of the account that fit the filter, in four queries at most."""
    entries = deque(_entries(account, asked, before)[: limit + 1])
    holds = deque(_released(account, asked, before)[: limit + 1])
    merged: list[Entry | Hold] = []
    while len(merged) < limit and (entries or holds):
        merged.append(entries.popleft() if _is_newer(entries, holds) else holds.popleft())
    return StatementPage(_lines(account, merged), _cursor(entries, holds))


def _entries(
    account: Account, asked: StatementFilter, before: Cursor | None
) -> QuerySet[Entry, Entry]:
    if asked.kind == NOT_CHARGED:
        return Entry.objects.none()
    entries = Entry.objects.filter(account=account, **_between("at", asked))
    if before is not None:
        entries = entries.filter(pk__lt=before.entry_id)
    if asked.kind:
        entries = entries.filter(kind=asked.kind)
    return entries.order_by("-pk")


def _released(
    account: Account, asked: StatementFilter, before: Cursor | None
) -> QuerySet[Hold, Hold]:
    if asked.kind not in ("", NOT_CHARGED):
        return Hold.objects.none()
    released = {"account": account, "state": Hold.State.RELEASED}
    holds = Hold.objects.filter(**released, **_between("resolved_at", asked))
    if before is not None:
        earlier = Q(resolved_at__lt=before.hold_at) | Q(pk__lt=before.hold_id)
        holds = holds.filter(earlier, resolved_at__lte=before.hold_at)
    return holds.order_by("-resolved_at", "-pk")


def _between(moment: str, asked: StatementFilter) -> dict[str, object]:
    limits = {
        f"{moment}__gte": asked.starts_at,
        f"{moment}__lt": asked.ends_before,
        "image_id": asked.image_id,
    }
    return {name: limit for name, limit in limits.items() if limit is not None}


def _is_newer(entries: deque[Entry], holds: deque[Hold]) -> bool:
    """True if the next line is an entry."""
    return bool(entries) and (not holds or entries[0].at >= _when(holds[0]))


def _cursor(entries: deque[Entry], holds: deque[Hold]) -> Cursor | None:
    """Just above the first line of each that is left over; None if nothing is."""
    if not entries and not holds:
        return None
    entry_id = entries[0].pk + 1 if entries else 0
    if not holds:
        return Cursor(entry_id, EPOCH, 0)
    return Cursor(entry_id, _when(holds[0]), holds[0].pk + 1)


def _when(hold: Hold) -> datetime:
    assert hold.resolved_at is not None  # noqa: S101 - a constraint of its table
    return hold.resolved_at


def _lines(account: Account, merged: list[Entry | Hold]) -> list[StatementLine]:
    reasons, images = _reasons(merged), _images(account, merged)
    return [
        _released_line(one, images) if isinstance(one, Hold) else _line(one, reasons, images)
        for one in merged
    ]


def _reasons(merged: list[Entry | Hold]) -> dict[int, str]:
    """Transaction -> why. Not joined to the entries: the planner would rather read all of them in
    their own order. Images are charged without a reason."""
    asked = [
        one.transaction_id
        for one in merged
        if isinstance(one, Entry) and one.kind != Transaction.Kind.CAPTURE
    ]
    return dict(Transaction.objects.filter(pk__in=asked).values_list("pk", "reason"))


def _images(account: Account, merged: list[Entry | Hold]) -> dict[uuid.UUID, LineImage]:
    """Those that are still there; a closed account has none."""
    ids = [one.image_id for one in merged if one.image_id]
    owned = Image.objects.filter(owner_id=account.user_id, pk__in=ids)
    told = owned.values_list("pk", "state", "failure_code", "failure", "generation__prompt")
    return {
        pk: LineImage(state, tell_failure(code=code, sentence=sentence), prompt)
        for pk, state, code, sentence, prompt in told
    }


def _released_line(hold: Hold, images: dict[uuid.UUID, LineImage]) -> StatementLine:
    return StatementLine(
        key=f"hold-{hold.pk}",
        kind=NOT_CHARGED,
        kind_name=str(Hold.State.RELEASED.label),
        when=_when(hold),
        image_id=hold.image_id,
        image=images.get(hold.image_id),
    )


def _line(
    entry: Entry, reasons: dict[int, str], images: dict[uuid.UUID, LineImage]
) -> StatementLine:
    return StatementLine(
        key=f"entry-{entry.pk}",
        kind=entry.kind,
        kind_name=str(entry.get_kind_display()),
        when=entry.at,
        reason=reasons.get(entry.transaction_id, ""),
        amount_ucr=entry.amount_ucr,
        balance_ucr=entry.balance_after_ucr,
        image_id=entry.image_id,
        image=images.get(entry.image_id) if entry.image_id else None,
    )
