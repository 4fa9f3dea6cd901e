"""Rows of the admin site as CSV, however many: read and sent a chunk at a time."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

from webapp.core.csv_lines import BOM, csv_line

ROWS_PER_CHUNK = 1000


def send_csv(
    name: str,
    columns: Sequence[str],
    rows: "QuerySet[Any]",
    cells: Callable[[Any], Sequence[str]],
) -> StreamingHttpResponse:
    """The rows as a file to keep, in the order of their primary key; `cells` makes a line of a
    row, and has passed text from people through `safe_text`."""
    body = _write(columns, rows, cells)
    response = StreamingHttpResponse(body, content_type="text/csv; charset=utf-8")
    disposition = content_disposition_header(as_attachment=True, filename=name)
    response["Content-Disposition"] = str(disposition)
    response["X-Content-Type-Options"] = "nosniff"
    return response


async def _write(
    columns: Sequence[str], rows: "QuerySet[Any]", cells: Callable[[Any], Sequence[str]]
) -> AsyncIterator[bytes]:
    """Between two chunks the event loop serves others, and no connection is kept."""
    yield (BOM + csv_line(columns)).encode()
    last: object = None
    while True:
        chunk = await _read_chunk(rows, last)
        yield "".join(csv_line(cells(row)) for row in chunk).encode()
        if len(chunk) < ROWS_PER_CHUNK:
            return
        last = chunk[-1].pk


@sync_to_async
def _read_chunk(rows: "QuerySet[Any]", last: object) -> list[Any]:
    ordered = rows.order_by("pk")
    after = ordered if last is None else ordered.filter(pk__gt=last)
    return list(after[:ROWS_PER_CHUNK])
