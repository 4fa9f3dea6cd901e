"""Lists of a million rows: a page reads its keys inside an index first, then only its own rows.

Counting a filter stops at ten thousand rows: nobody turns a hundred pages, and the list says that
there are more.
"""

from datetime import datetime
from typing import Any, cast

from django.contrib.admin import ShowFacets
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import formats, timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.views import ChangeList

from webapp.operations.ranks import count_transactions, list_transaction_ids

MOST_COUNTED = 10_000


class LongChangeList(ChangeList):  # type: ignore[misc]
    """Takes its rows from the paginator, also if one page holds them all."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # Without it the head of the page offers to show all of what is shown already.
        self.full_result_count = self.result_count
        if not self.multi_page:
            self.result_list = self.paginator.page(1).object_list


class LongList:
    """For a ModelAdmin whose `paginator` is one of those below."""

    list_max_show_all = 0
    show_full_result_count = False
    # Counting each choice of each filter would read everything.
    show_facets = ShowFacets.NEVER

    def get_changelist(self, request: HttpRequest, **more: Any) -> type[ChangeList]:
        return LongChangeList


class LongListPaginator(Paginator):  # type: ignore[type-arg]
    """Counts up to `MOST_COUNTED` rows."""

    @cached_property
    def counted(self) -> int:
        """How many rows there are, or one more than are counted at most."""
        return self._keys().order_by()[: MOST_COUNTED + 1].count()

    @property
    def is_cut(self) -> bool:
        """True if there are more rows than were counted."""
        return self.counted > MOST_COUNTED

    @cached_property
    def count(self) -> int:
        """The rows that can be turned to: at most `MOST_COUNTED`."""
        return min(self.counted, MOST_COUNTED)

    def page(self, number: int | str) -> Page[Any]:
        """The page with its rows in order."""
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        keys = self._page_keys(first, min(first + self.per_page, self.count))
        rows = {row.pk: row for row in self._read(keys)}
        return Page([rows[key] for key in keys if key in rows], number, self)

    @property
    def _rows(self) -> QuerySet[Model]:
        return cast("QuerySet[Model]", self.object_list)

    def _keys(self) -> "QuerySet[Model, Any]":
        return self._rows.prefetch_related(None).values_list("pk", flat=True)

    def _page_keys(self, first: int, end: int) -> list[Any]:
        return list(self._keys()[first:end])

    def _read(self, keys: list[Any]) -> "QuerySet[Any]":
        return self._rows.filter(pk__in=keys)


class WholeListPaginator(LongListPaginator):
    """Counts every row, and reads pages of the second half from the end; for a list whose "all of
    this search" something is done to."""

    @cached_property
    def counted(self) -> int:
        """How many rows there are, exactly."""
        return self._keys().order_by().count()

    is_cut = False

    @cached_property
    def count(self) -> int:
        """The rows that can be turned to: all of them."""
        return self.counted

    def _page_keys(self, first: int, end: int) -> list[Any]:
        if first < self.count // 2:
            return super()._page_keys(first, end)
        keys = list(self._keys().reverse()[self.count - end : self.count - first])
        return keys[::-1]


class LedgerPaginator(LongListPaginator):
    """Every transaction is counted if nothing is filtered, and any page found by its rank.

    `lines`, if it is given, is the same filter asked of the transactions' lines, newest first;
    `rows` are all transactions, with what a row of the list needs.
    """

    def __init__(self, *args: Any, rows: QuerySet[Any], lines: QuerySet[Any] | None) -> None:
        super().__init__(*args)
        self.all_rows, self.lines = rows, lines

    @cached_property
    def is_whole(self) -> bool:
        """True if nothing is filtered."""
        return not self._rows.query.where

    @cached_property
    def counted(self) -> int:
        """All if nothing is filtered; otherwise as for all long lists."""
        if self.is_whole:
            return count_transactions()
        return self._keys().order_by()[: MOST_COUNTED + 1].count()

    @property
    def is_cut(self) -> bool:
        """True if a filter fits more rows than were counted."""
        return not self.is_whole and self.counted > MOST_COUNTED

    @cached_property
    def count(self) -> int:
        """The rows that can be turned to: all if nothing is filtered, otherwise at most
        `MOST_COUNTED`."""
        return self.counted if self.is_whole else min(self.counted, MOST_COUNTED)

    def _keys(self) -> "QuerySet[Any, Any]":
        if self.lines is None:
            return super()._keys()
        return self.lines.values_list("transaction_id", flat=True)

    def _page_keys(self, first: int, end: int) -> list[Any]:
        if not self.is_whole:
            return super()._page_keys(first, end)
        keys = list_transaction_ids(skip=self.count - end, many=end - first)
        return keys[::-1]

    def _read(self, keys: list[Any]) -> QuerySet[Any]:
        return self.all_rows.filter(pk__in=keys)


def unbroken(text: str) -> SafeString:
    """A cell that no narrow column breaks."""
    return format_html('<span class="op-nowrap">{}</span>', text)


def short_time(moment: datetime) -> SafeString:
    """Day and time on one line, in the studio's time zone."""
    return unbroken(formats.date_format(timezone.localtime(moment), "SHORT_DATETIME_FORMAT"))
