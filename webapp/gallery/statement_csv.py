"""A statement as CSV, however long: lines are read and sent a chunk at a time."""

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache

from webapp.accounts.requests import SignedInRequest
from webapp.core.csv_lines import BOM, csv_line, safe_text
from webapp.core.methods import require_GET
from webapp.core.units import format_credits
from webapp.credits.models import Account
from webapp.gallery.statement_filter import StatementFilter, read_filter
from webapp.gallery.statement_lines import Line, Place, list_lines

LINES_PER_CHUNK = 1000
# Not translated: programs read these, and the kinds below them, by name.
COLUMNS = ("time", "kind", "description", "reason", "credits", "balance", "image")


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


async def stream_csv(*, account: Account, asked: StatementFilter) -> AsyncIterator[bytes]:
    """The file in pieces; between two of them the event loop serves others."""
    pieces = read_csv(account=account, asked=asked)
    while (piece := await sync_to_async(lambda: next(pieces, None))()) is not None:
        yield piece


def read_csv(*, account: Account, asked: StatementFilter) -> Iterator[bytes]:
    """The same for a thread of its own."""
    yield (BOM + csv_line(COLUMNS)).encode()
    place: Place | None = None
    while True:
        page = list_lines(account=account, asked=asked, before=place, limit=LINES_PER_CHUNK)
        yield "".join(csv_line(_cells(line)) for line in page.lines).encode()
        place = page.next_place
        if place is None:
            return


def _cells(line: Line) -> tuple[str, ...]:
    """As `COLUMNS` names them; times with their offset, amounts with a point and no thousands."""
    return (
        timezone.localtime(line.when).isoformat(timespec="seconds"),
        line.kind,
        safe_text(line.words),
        safe_text(line.reason),
        "" if line.amount_ucr is None else format_credits(line.amount_ucr),
        "" if line.balance_ucr is None else format_credits(line.balance_ucr),
        str(line.image_id or ""),
    )
