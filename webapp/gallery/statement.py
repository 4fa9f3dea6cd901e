"""The page of credits: what there is, what was spent, and each line with its picture."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from webapp.accounts.models import User
from webapp.accounts.requests import SignedInRequest
from webapp.catalog.pricing import price_per_image_ucr
from webapp.core.errors import InvalidInput
from webapp.credits.models import Entry, Hold
from webapp.credits.selectors import (
    count_open_holds,
    get_balance,
    get_month_spend,
    get_statement,
)
from webapp.generation.models import Image

LINES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Line:
    """One line: an entry of the books, or a hold that was given back (no amount, no balance)."""

    when: datetime
    key: str
    what: str
    amount_ucr: int | None
    balance_ucr: int | None
    image_id: uuid.UUID | None
    image: Image | None = None

    @property
    def place(self) -> tuple[datetime, str]:
        """Where the line stands; newer lines compare greater."""
        return self.when, self.key


@never_cache
@login_required
@require_GET
def statement(request: SignedInRequest) -> HttpResponse:
    """The owner's balance, this month, and 50 lines; `?before=` goes on where a page ended."""
    before = _read_place(request.GET.get("before", ""))
    lines, more = list_lines(owner=request.user, before=before)
    context = {
        "balance": get_balance(user=request.user),
        "open_holds": count_open_holds(user=request.user),
        "month": get_month_spend(user=request.user),
        "price_each_ucr": price_per_image_ucr(),
        "lines": lines,
        "is_first_page": before is None,
        "next_before": "~".join((lines[-1].when.isoformat(), lines[-1].key)) if more else "",
    }
    return render(request, "credits/statement.html", context)


def list_lines(*, owner: User, before: tuple[datetime, str] | None) -> tuple[list[Line], bool]:
    """Up to 50 lines older than `before`, newest first, and whether there are more."""
    both = [*_entry_lines(owner, before), *_released_lines(owner, before)]
    lines = sorted(both, key=lambda line: line.place, reverse=True)
    if before is not None:
        lines = [line for line in lines if line.place < before]
    return _with_images(owner, lines[:LINES_SHOWN]), len(lines) > LINES_SHOWN


def _entry_lines(owner: User, before: tuple[datetime, str] | None) -> list[Line]:
    entries = get_statement(user=owner)
    if before is not None:
        entries = entries.filter(transaction__created_at__lte=before[0])
    return [_entry_line(entry) for entry in entries[: LINES_SHOWN + 2]]


def _entry_line(entry: Entry) -> Line:
    posted = entry.transaction
    return Line(
        when=posted.created_at,
        key=f"entry-{entry.pk:020d}",
        what=posted.reason or str(posted.get_kind_display()),
        amount_ucr=entry.amount_ucr,
        balance_ucr=entry.balance_after_ucr,
        image_id=entry.image_id,
    )


def _released_lines(owner: User, before: tuple[datetime, str] | None) -> list[Line]:
    holds = Hold.objects.filter(account__user=owner, state=Hold.State.RELEASED)
    if before is not None:
        holds = holds.filter(resolved_at__lte=before[0])
    newest = holds.order_by("-resolved_at", "-pk")[: LINES_SHOWN + 2]
    return [_released_line(hold) for hold in newest]


def _released_line(hold: Hold) -> Line:
    return Line(
        when=hold.resolved_at or hold.created_at,
        key=f"hold-{hold.pk:020d}",
        what="",
        amount_ucr=None,
        balance_ucr=None,
        image_id=hold.image_id,
    )


def _with_images(owner: User, lines: list[Line]) -> list[Line]:
    ids = [line.image_id for line in lines if line.image_id]
    found = Image.objects.filter(owner=owner, pk__in=ids).select_related("generation")
    images = {image.pk: image for image in found}
    return [
        Line(
            when=line.when,
            key=line.key,
            what=line.what,
            amount_ucr=line.amount_ucr,
            balance_ucr=line.balance_ucr,
            image_id=line.image_id,
            image=images.get(line.image_id) if line.image_id else None,
        )
        for line in lines
    ]


def _read_place(text: str) -> tuple[datetime, str] | None:
    if not text:
        return None
    when, _tilde, key = text.partition("~")
    try:
        moment = parse_datetime(when)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        sentence = _("That page of the statement does not exist. Start again at the top.")
        raise InvalidInput(sentence, field="before")
    return moment, key
