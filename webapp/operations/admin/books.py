"""The ledger with its filters, one transaction, accounts and holds. All are read-only;
what can be done is to undo, which writes new lines."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import StreamingHttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from webapp.core.csv_lines import safe_text
from webapp.core.ids import find_id
from webapp.core.templatetags.darkroom import signed_credits
from webapp.core.units import format_credits
from webapp.credits.ledger.undo import UNDOABLE
from webapp.credits.models import Account, Entry, Hold, Transaction
from webapp.generation.models import Image
from webapp.operations import topups
from webapp.operations.admin.base import NOTHING, ReadOnlyAdmin, RowPageAdmin
from webapp.operations.admin.booking import reason_page
from webapp.operations.admin.csv_files import send_csv
from webapp.operations.admin.filters import CreatedFilter, FormFilter
from webapp.operations.admin.ledger_lines import AmountForm, find_lines, limit_amounts, read_key
from webapp.operations.admin.long_lists import (
    LedgerPaginator,
    LongList,
    LongListPaginator,
    short_time,
    unbroken,
)
from webapp.operations.admin.navigation import row_address
from webapp.operations.admin.people_search import accounts_of

CSV_COLUMNS = (
    "time",
    "transaction",
    "kind",
    "user",
    "credits",
    "balance",
    "image",
    "by",
    "reason",
    "note",
    "key",
)


class AmountFilter(FormFilter):
    """By what moved on the person's account."""

    title = gettext_lazy("credits")
    form_class = AmountForm

    def narrow(self, queryset: "QuerySet[Any]", given: dict[str, Any]) -> "QuerySet[Any]":
        """Of people's lines alone: the system's are their mirror."""
        limits = {f"entries__{name}": ucr for name, ucr in limit_amounts(given).items()}
        return queryset.filter(entries__balance_after_ucr__isnull=False, **limits)


@admin.register(Transaction)
class TransactionAdmin(LongList, RowPageAdmin):
    """The ledger: who, when, why, how much, for which image."""

    row_template = "operations/transaction.html"
    list_display = ["when", "what", "whose", "amount", "left", "image", "by", "reason"]
    list_filter = ["kind", CreatedFilter, AmountFilter]
    list_filter_submit = True
    list_before_template = "operations/ledger_head.html"
    list_fullwidth = True
    search_fields = ["idempotency_key"]
    search_help_text = gettext_lazy("Address, image, number or key")
    ordering = ["-created_at", "-pk"]
    sortable_by: ClassVar[list[str]] = []
    paginator = LedgerPaginator
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Transaction]:
        """With the lines, so that a page of the list costs a handful of queries."""
        return super().get_queryset(request).prefetch_related("entries__account__user")  # type: ignore[no-any-return]

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        """Through an index whatever it is: an image, a number, a key, or the beginning of an
        address."""
        term = search_term.strip()
        if not term:
            return queryset, False
        key = read_key(term)
        if key is not None:
            return queryset.filter(**key), False
        return _filter_accounts(queryset, accounts_of(term)), False

    def get_paginator(
        self, request: HttpRequest, queryset: "QuerySet[Any]", per_page: int, *more: Any
    ) -> LedgerPaginator:
        """Pages by the filter's lines if amounts are filtered, by transactions otherwise."""
        rows = self.get_queryset(request)
        return LedgerPaginator(queryset, per_page, *more, rows=rows, lines=find_lines(request))

    def get_urls(self) -> list[URLPattern]:
        """The file of a filter, and the way back of one transaction."""
        wrap = self.admin_site.admin_view
        return [
            path("export/", wrap(self.export), name="credits_transaction_export"),
            path("<int:transaction_id>/undo/", wrap(self.undo), name="credits_transaction_undo"),
            *super().get_urls(),
        ]

    @admin.display(description=gettext_lazy("when"))
    def when(self, posted: Transaction) -> str:
        return short_time(posted.created_at)

    @admin.display(description=gettext_lazy("by"))
    def by(self, posted: Transaction) -> str:
        """The administrator; nobody for what the studio posts itself."""
        return posted.actor_name or NOTHING

    @admin.display(description=gettext_lazy("kind"))
    def what(self, posted: Transaction) -> str:
        return posted.get_kind_display()

    @admin.display(description=gettext_lazy("credits"))
    def amount(self, posted: Transaction) -> str:
        """What moved on the user's account, with its sign."""
        return unbroken(signed_credits(_moved_ucr(posted)))

    @admin.display(description=gettext_lazy("balance after"))
    def left(self, posted: Transaction) -> str:
        """The user's posted credits after the transaction."""
        left = [format_credits(line.balance_after_ucr or 0) for line in user_lines(posted)]
        return unbroken(", ".join(left))

    @admin.display(description=gettext_lazy("account"))
    def whose(self, posted: Transaction) -> str:
        """The user's account that it moved on, with the way there."""
        account = next((line.account for line in user_lines(posted)), None)
        if account is None or account.user is None:
            return str(account or "–")
        where = reverse("admin:accounts_user_change", args=[account.user.pk])
        return format_html('<a href="{}">{}</a>', where, account.user)

    @admin.display(description=gettext_lazy("image"))
    def image(self, posted: Transaction) -> str:
        """The image that it was for, with the way there."""
        image_id = next((line.image_id for line in user_lines(posted) if line.image_id), None)
        if image_id is None:
            return "–"
        return format_html(
            '<a class="op-mono" href="{}">{}</a>', row_address(Image, image_id), str(image_id)[:8]
        )

    def export(self, request: HttpRequest) -> StreamingHttpResponse:
        """All transactions that fit the list's filter, as CSV, oldest first. Raises Http404 for
        whoever may not see them."""
        if not self.has_view_permission(request):
            raise Http404
        self.request = request
        changes: ChangeList = self.get_changelist_instance(request)
        name = f"ledger-{timezone.localdate().isoformat()}.csv"
        return send_csv(name, CSV_COLUMNS, changes.get_queryset(request), _cells)

    def row_context(self, row: Transaction) -> dict[str, Any]:
        """One transaction with its lines, and the way back if there is one."""
        reversal = Transaction.objects.filter(reverses=row).first()
        lines = list(row.entries.all())
        person = next((line.account.user for line in user_lines(row)), None)
        return {
            "title": str(row),
            "posted": row,
            "lines": lines,
            "person": person,
            "image_id": next((line.image_id for line in lines if line.image_id), None),
            "reversal": reversal,
            "can_undo": row.kind in UNDOABLE and reversal is None,
        }

    def undo(self, request: HttpRequest, transaction_id: int) -> HttpResponse:
        """Asks for the reason, then undoes the transaction by a new one. Raises Http404 if there is
        no such transaction."""
        posted = self.get_object(request, str(transaction_id))
        if posted is None:
            raise Http404
        return reason_page(
            request,
            self,
            title=_("Undo %(what)s") % {"what": posted},
            lead=_("%(whose)s: %(amount)s credits are undone by a new entry.")
            % {"whose": _owner_of(posted), "amount": signed_credits(_moved_ucr(posted))},
            button=pgettext("transaction", "Undo"),
            act=lambda actor, reason: _undo(posted, actor, reason),
            back=row_address(Transaction, transaction_id),
        )


def user_lines(posted: Transaction) -> list[Entry]:
    """The lines on people's accounts; the system's carry no balance."""
    return [entry for entry in posted.entries.all() if entry.balance_after_ucr is not None]


def _filter_accounts(queryset: "QuerySet[Any]", accounts: list[int]) -> "QuerySet[Any]":
    """Newest first by the order of the lines, which is the same. One account's lines stand in it
    in an index; those of several are few and sorted, which the database has to be told."""
    if len(accounts) == 1:
        return queryset.filter(entries__account=accounts[0]).order_by("-entries__pk")
    found = queryset.filter(entries__account__in=accounts)
    return found.order_by((F("entries__pk") + 0).desc())


def _moved_ucr(posted: Transaction) -> int:
    """What moved on people's accounts."""
    return sum(line.amount_ucr for line in user_lines(posted))


def _owner_of(posted: Transaction) -> str:
    return ", ".join(str(line.account) for line in user_lines(posted))


def _undo(posted: Transaction, actor: Any, reason: str) -> str:
    topups.undo_transaction(transaction_id=posted.pk, actor=actor, reason=reason)
    return _("It was undone by a new entry.")


def _cells(posted: Transaction) -> tuple[str, ...]:
    """As `CSV_COLUMNS` names them; times with their offset, amounts with a point."""
    lines = user_lines(posted)
    balance_ucr = lines[0].balance_after_ucr if lines else None
    image_id = next((line.image_id for line in lines if line.image_id), None)
    return (
        timezone.localtime(posted.created_at).isoformat(timespec="seconds"),
        str(posted.pk),
        posted.kind,
        safe_text(_owner_of(posted)),
        format_credits(_moved_ucr(posted)),
        "" if balance_ucr is None else format_credits(balance_ucr),
        str(image_id or ""),
        safe_text(posted.actor_name),
        safe_text(posted.reason),
        safe_text(posted.note),
        safe_text(posted.idempotency_key),
    )


@admin.register(Account)
class AccountAdmin(LongList, ReadOnlyAdmin):
    """Balances of people; the system's accounts carry none."""

    list_display = ["__str__", "kind", "posted", "held"]
    list_filter = ["kind"]
    list_select_related = ["user"]
    search_fields = ["pseudonym"]
    search_help_text = gettext_lazy("Address or pseudonym")
    paginator = LongListPaginator

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        """By the beginning of the address, or the pseudonym of a closed account."""
        term = search_term.strip()
        pseudonym = find_id(term)
        if pseudonym is not None:
            return queryset.filter(pseudonym=pseudonym), False
        return (queryset.filter(pk__in=accounts_of(term)) if term else queryset), False

    @admin.display(description=gettext_lazy("posted credits"), ordering="posted_ucr")
    def posted(self, account: Account) -> str:
        return format_credits(account.posted_ucr)

    @admin.display(description=gettext_lazy("held credits"), ordering="held_ucr")
    def held(self, account: Account) -> str:
        return format_credits(account.held_ucr)


@admin.register(Hold)
class HoldAdmin(LongList, ReadOnlyAdmin):
    """What was set aside for each image, and what became of it."""

    list_display = ["created_at", "account", "amount", "state", "image_id"]
    list_filter = ["state"]
    list_select_related = ["account__user"]
    search_fields = ["image_id"]
    search_help_text = gettext_lazy("Address or image")
    ordering = ["-pk"]
    sortable_by: ClassVar[list[str]] = []
    paginator = LongListPaginator

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        """By the image, or by the beginning of the address."""
        term = search_term.strip()
        image_id = find_id(term)
        if image_id is not None:
            return queryset.filter(image_id=image_id), False
        return (queryset.filter(account__in=accounts_of(term)) if term else queryset), False

    @admin.display(description=gettext_lazy("credits"))
    def amount(self, hold: Hold) -> str:
        return format_credits(hold.amount_ucr)
