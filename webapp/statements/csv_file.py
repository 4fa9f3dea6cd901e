"""A statement as CSV, however long: lines are read and sent a chunk at a time."""

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.utils import timezone

from webapp.core.csv_lines import BOM, csv_line, safe_text
from webapp.core.units import format_credits
from webapp.credits.models import Account
from webapp.statements.filters import StatementFilter
from webapp.statements.lines import Cursor, StatementLine, list_lines

LINES_PER_CHUNK = 1000
# Not translated: programs read these, and the kinds below them, by name.
COLUMNS = ("time", "kind", "description", "reason", "credits", "balance", "image")


async def stream_csv(*, account: Account, asked: StatementFilter) -> AsyncIterator[bytes]:
    """The file in pieces; between two of them the event loop serves others."""
    pieces = read_csv(account=account, asked=asked)
    while (piece := await sync_to_async(lambda: next(pieces, None))()) is not None:
        yield piece


def read_csv(*, account: Account, asked: StatementFilter) -> Iterator[bytes]:
    """The same for a thread of its own."""
    yield (BOM + csv_line(COLUMNS)).encode()
    cursor: Cursor | None = None
    while True:
        page = list_lines(account=account, asked=asked, before=cursor, limit=LINES_PER_CHUNK)
        yield "".join(csv_line(_cells(line)) for line in page.lines).encode()
        cursor = page.next_cursor
        if cursor is None:
            return


def _cells(line: StatementLine) -> tuple[str, ...]:
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
