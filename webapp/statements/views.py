"""The page of credits: what there is, what was spent, and each line with its image; and the same
lines as a file."""

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache

from webapp.accounts.requests import SignedInRequest
from webapp.catalog.pricing import read_prices
from webapp.core.errors import InvalidInput
from webapp.core.methods import require_GET
from webapp.credits.models import Account
from webapp.credits.selectors import count_open_holds
from webapp.credits.welcomes import held_sentence
from webapp.statements.csv_file import stream_csv
from webapp.statements.filters import KINDS, StatementFilter, read_filter
from webapp.statements.lines import Cursor, list_lines
from webapp.statements.spending import draw_spending, read_spending

LINES_SHOWN = 50


@never_cache
@login_required
@require_GET
def statement(request: SignedInRequest) -> HttpResponse:
    """The owner's balance, the last thirty days and 50 lines that fit the filter; `?before=` goes
    on where a page ended. A filter that cannot be read is answered by 400, with its sentence at
    the field and no lines."""
    account = Account.objects.get(user=request.user)
    try:
        shown = _lines(account, read_filter(request.GET), before=request.GET.get("before", ""))
    except InvalidInput as error:
        shown = {"wrong": {"field": error.field, "sentence": error.sentence}}
    spending = read_spending(account=account)
    context = {
        "account": account,
        "welcome_held": held_sentence(account),
        "open_holds": count_open_holds(user=request.user),
        "spending": spending,
        "chart": draw_spending(spending),
        "prices": read_prices(user=request.user),
        "kinds": KINDS.items(),
        "given": {name: request.GET.get(name, "") for name in ("kind", "since", "until", "image")},
        **shown,
    }
    status = 400 if "wrong" in shown else 200
    return render(request, "statements/statement.html", context, status=status)


@never_cache
@login_required
@require_GET
def statement_csv(request: SignedInRequest) -> StreamingHttpResponse:
    """The lines that the page's filter asks for, newest first, as a file to keep."""
    asked = read_filter(request.GET)
    account = Account.objects.get(user=request.user)
    body = stream_csv(account=account, asked=asked)
    response = StreamingHttpResponse(body, content_type="text/csv; charset=utf-8")
    name = f"darkroom-credits-{timezone.localdate().isoformat()}.csv"
    disposition = content_disposition_header(as_attachment=True, filename=name)
    response["Content-Disposition"] = str(disposition)
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _lines(account: Account, asked: StatementFilter, *, before: str) -> dict[str, Any]:
    """What the page shows of its lines; raises InvalidInput for a cursor that is none."""
    cursor = Cursor.read(before) if before else None
    page = list_lines(account=account, asked=asked, before=cursor, limit=LINES_SHOWN)
    older = urlencode({"before": str(page.next_cursor)}) if page.next_cursor else ""
    return {
        "asked": asked,
        "lines": page.lines,
        "is_first_page": cursor is None,
        "older_query": "&".join(part for part in (asked.query, older) if part) if older else "",
    }
