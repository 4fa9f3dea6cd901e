"""The audit log: who did what to whom, when and why. Nobody writes it by hand."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from webapp.accounts.models import User
from webapp.core.models import AuditLine
from webapp.credits.models import TopUpBatch, Transaction
from webapp.operations.admin.base import RowPageAdmin
from webapp.operations.admin.filters import DatesFilter
from webapp.operations.admin.long_lists import LongList, LongListPaginator
from webapp.operations.admin.navigation import row_address

# What a line can lead to; other rows may be gone.
LINKED = {"user": User, "topupbatch": TopUpBatch}


class AtFilter(DatesFilter):
    """Lines of some days."""

    column = "at"


class ActionFilter(admin.SimpleListFilter):
    """By what was done: all of a room ("credits"), or one act ("credits.top_up")."""

    title = _("action")
    parameter_name = "act"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Every act that has a line, by its code."""
        acts = AuditLine.objects.order_by("action").values_list("action", flat=True).distinct()
        return [(act, act) for act in acts]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(action=self.value()) if self.value() else queryset


@admin.register(AuditLine)
class AuditLineAdmin(LongList, RowPageAdmin):
    """To be looked at; the database itself refuses to change or delete a line."""

    row_template = "operations/audit_line.html"
    list_display = ["at", "actor_name", "action", "subject_name", "reason"]
    list_filter = [ActionFilter, AtFilter]
    list_filter_submit = True
    search_fields = ["subject_name"]
    search_help_text = _("Who did it, or to whom")
    ordering = ["-pk"]
    sortable_by: ClassVar[list[str]] = []
    paginator = LongListPaginator

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        """By the name of who did it or to whom, or by the number of the row."""
        term = search_term.strip()
        if not term:
            return queryset, False
        named = Q(actor_name__icontains=term) | Q(subject_name__icontains=term)
        return queryset.filter(named | Q(subject_id=term)), False

    def row_context(self, row: AuditLine) -> dict[str, Any]:
        """One line, with what changed side by side."""
        return {
            "title": row.action,
            "line": row,
            "subject_url": _find_subject(row),
            "changes": list_changes(row),
        }


def list_changes(line: AuditLine) -> list[tuple[str, Any, Any]]:
    """`(name, before, after)` of everything the line tells; None if it tells nothing."""
    names = [*line.before, *(name for name in line.after if name not in line.before)]
    return [(name, line.before.get(name), line.after.get(name)) for name in names]


def _find_subject(line: AuditLine) -> str:
    """Where the subject's page is; "" if there is none (any more)."""
    if line.subject_kind == "transaction":
        return row_address(Transaction, line.subject_id)
    model = LINKED.get(line.subject_kind)
    if model is None or not model._default_manager.filter(pk=line.subject_id).exists():
        return ""
    return row_address(model, line.subject_id)
