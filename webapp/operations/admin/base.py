"""What the pages of the admin site share."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from django.db.models import Field, FloatField, IntegerField, Model, QuerySet
from django.forms import BaseModelForm
from django.forms import Field as FormField
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from webapp.accounts.models import User
from webapp.core import audit
from webapp.core.numbers import PlainFloatField, WholeNumberField
from webapp.core.units import format_credits

NOTHING = "–"
NUMBER_FIELDS: dict[Any, type[FormField]] = {
    IntegerField: WholeNumberField,
    FloatField: PlainFloatField,
}
SECRET = "password"  # noqa: S105 - the name of a field, whose values are never written down


class QuietChangeList(ChangeList):  # type: ignore[misc]
    """Offers to show all only if a search or a filter hides something."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows that only services write: they can be looked at, and nothing else."""

    empty_value_display = NOTHING

    def get_changelist(self, request: HttpRequest, **more: Any) -> type[ChangeList]:
        return QuietChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class RowPageAdmin(ReadOnlyAdmin):
    """Rows of which each has a page of our own: `row_template` shows what `row_context` says."""

    row_template: ClassVar[str]

    def row_context(self, row: Any) -> dict[str, Any]:
        """What the page shows, its `title` among it. Raises NotImplementedError: each subclass says
        it."""
        raise NotImplementedError

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page; Django's own answer if there is no such row, or for whoever may not see it."""
        row = self.get_object(request, object_id)
        if request.method == "POST" or row is None or not self.has_view_permission(request):
            return super().change_view(request, object_id, form_url, extra_context)  # type: ignore[no-any-return]
        shared = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, self.row_template, shared | self.row_context(row))


class AuditedAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows that administrators change by hand: each change is a line in the audit log, written in
    the transaction of the change (the admin site saves and deletes inside one).

    Actions are named `<audit_name>.create`, `.change` and `.delete`; a form that changed nothing
    leaves no line. Fields of `audit_skips` are left out.
    """

    empty_value_display = NOTHING
    audit_name: ClassVar[str] = ""
    audit_skips: ClassVar[frozenset[str]] = frozenset({"last_login"})

    def formfield_for_dbfield(
        self, db_field: "Field[Any, Any]", request: HttpRequest, **options: Any
    ) -> Any:
        """Django's field for the column; columns of numbers get a field that reads digits only
        (`webapp.core.digits`)."""
        for column, field in NUMBER_FIELDS.items():
            if isinstance(db_field, column) and not db_field.choices:
                options["form_class"] = field
        return super().formfield_for_dbfield(db_field, request, **options)

    def save_model(
        self, request: HttpRequest, obj: Model, form: "BaseModelForm[Any]", change: bool
    ) -> None:
        """Remembers the row as it was; `save_related` writes the line, when all is saved."""
        stored = type(obj)._default_manager.filter(pk=obj.pk).first() if change else None
        form.audited_before = self._facts(stored)  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def save_related(
        self, request: HttpRequest, form: "BaseModelForm[Any]", formsets: Any, change: bool
    ) -> None:
        """Saves what belongs to the row, then writes the line."""
        super().save_related(request, form, formsets, change)
        before: Mapping[str, Any] = form.audited_before  # type: ignore[attr-defined]
        after = self._facts(form.instance)
        names = [name for name in after if before.get(name) != after[name]]
        if names:
            self._record(
                request,
                form.instance,
                "change" if change else "create",
                before={name: before[name] for name in names if name in before},
                after={name: after[name] for name in names},
            )

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Writes down what is deleted, and deletes it."""
        self._record(request, obj, "delete", before=self._facts(obj))
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Model]") -> None:
        """One line for each row of the list's action."""
        for row in queryset:
            self._record(request, row, "delete", before=self._facts(row))
        super().delete_queryset(request, queryset)

    def _record(self, request: HttpRequest, row: Model, what: str, **facts: Any) -> None:
        name = self.audit_name or row._meta.model_name
        audit.record(
            actor=cast("User", request.user), action=f"{name}.{what}", subject=row, **facts
        )

    def _facts(self, row: Model | None) -> dict[str, Any]:
        """Field -> value as JSON: amounts in credits, other rows by their names."""
        if row is None:
            return {}
        fields = [*row._meta.concrete_fields, *row._meta.many_to_many]
        kept = [field for field in fields if field.name not in self.audit_skips]
        return dict(_fact(row, field) for field in kept)


def _fact(row: Model, field: "Field[Any, Any]") -> tuple[str, Any]:
    if field.many_to_many:
        return field.name, sorted(str(other) for other in getattr(row, field.name).all())
    value = getattr(row, field.name)
    if field.name == SECRET:
        # Whether there is one can be told; the hash itself is nobody's to read.
        return field.name, "set" if value else ""
    if field.name.endswith("_ucr"):
        return field.name.removesuffix("_ucr"), None if value is None else format_credits(value)
    plain = value is None or isinstance(value, bool | int | float | str)
    return field.name, value if plain else str(value)
