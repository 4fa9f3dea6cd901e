"""The ledger's filter by amount, asked of people's lines alone.

A line repeats the kind and the time of its transaction, so one index of lines answers: joined to
their transactions, the same filter costs the database a walk through all of them.
"""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from webapp.core.days import end_of, start_of
from webapp.core.ids import find_id
from webapp.credits.models import Entry, Transaction
from webapp.operations.admin.booking import CreditsField
from webapp.operations.admin.filters import DatesForm
from webapp.operations.admin.people_search import accounts_of

# Ids and times rise together, but for as long as a transaction lasts.
SLACK = timedelta(hours=1)


class AmountForm(forms.Form):
    """Two amounts in credits, both included."""

    at_least = CreditsField(label=gettext_lazy("At least"), required=False)
    at_most = CreditsField(label=gettext_lazy("At most"), required=False)


def find_lines(request: HttpRequest) -> QuerySet[Entry] | None:
    """People's lines, newest first, that the ledger's whole filter fits; None if no amount is
    filtered, or if what is searched for is a single transaction anyway."""
    amounts, days = AmountForm(request.GET), DatesForm(request.GET)
    if not amounts.is_valid() or not days.is_valid():
        return None
    limits = limit_amounts(amounts.cleaned_data)
    if not limits:
        return None
    lines = Entry.objects.filter(balance_after_ucr__isnull=False, **limits)
    if kind := request.GET.get("kind__exact"):
        lines = lines.filter(kind=kind)
    found = _search(_narrow_days(lines, days.cleaned_data), request.GET.get("q", "").strip())
    return None if found is None else found.order_by("-pk")


def limit_amounts(given: dict[str, Any]) -> dict[str, int]:
    """The lookups on a line for the form's amounts; {} if none was given."""
    names = {"amount_ucr__gte": "at_least", "amount_ucr__lte": "at_most"}
    return {lookup: given[name] for lookup, name in names.items() if given[name] is not None}


def read_key(term: str) -> dict[str, Any] | None:
    """The lookup on a transaction for a term that names one: its number, its key, or its image;
    None for anything else."""
    image_id = find_id(term)
    if image_id is not None:
        return {"entries__image_id": image_id, "entries__balance_after_ucr__isnull": False}
    if term.isdecimal() and term.isascii() and len(term) < 19:
        return {"pk": int(term)}
    return {"idempotency_key__startswith": term} if ":" in term else None


def _search(lines: QuerySet[Entry], term: str) -> QuerySet[Entry] | None:
    if not term:
        return lines
    return lines.filter(account__in=accounts_of(term)) if read_key(term) is None else None


def _narrow_days(lines: QuerySet[Entry], given: dict[str, Any]) -> QuerySet[Entry]:
    """The days by the lines' own time, and by their ids, which the index can skip to."""
    if given["since"]:
        since = start_of(given["since"])
        lines = lines.filter(at__gte=since, pk__gte=_first_line(since - SLACK))
    if given["until"]:
        until = end_of(given["until"])
        lines = lines.filter(at__lt=until, pk__lt=_first_line(until + SLACK))
    return lines


def _first_line(moment: datetime) -> int:
    """The id of the first line from that moment on; one that no line reaches if there is
    none."""
    later = Transaction.objects.filter(created_at__gte=moment).order_by("created_at", "pk")
    first = later.values_list("entries__pk", flat=True).first()
    return 2**62 if first is None else int(first)
