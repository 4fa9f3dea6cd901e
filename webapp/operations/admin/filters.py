"""Filters with something to fill in, for the lists of the admin site."""

from collections.abc import Iterator
from datetime import date
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from webapp.core.days import check_order, end_of, start_of
from webapp.core.errors import InvalidInput
from webapp.core.numbers import DayField


class FormFilter(admin.ListFilter):
    """A filter whose parameters are a form's fields. A value that will not do is said in a
    sentence, and then the list is empty: it never shows more than what was asked for."""

    template = "operations/form_filter.html"
    form_class: ClassVar[type[forms.Form]]

    def __init__(
        self,
        request: HttpRequest,
        params: dict[str, list[str]],
        model: type[Model],
        model_admin: "admin.ModelAdmin[Any]",
    ) -> None:
        super().__init__(request, params, model, model_admin)
        for name in map(str, self.form_class.base_fields):
            values = params.pop(name, [""])
            if values[-1]:
                self.used_parameters[name] = values[-1]
        self.form = self.form_class(self.used_parameters or None, auto_id="filter_%s")

    def expected_parameters(self) -> list[str | None]:
        """The names of the form's fields."""
        return [str(name) for name in self.form_class.base_fields]

    def has_output(self) -> bool:
        """True: a form can always be filled in, whatever rows there are."""
        return True

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """None: the form is drawn instead."""
        return iter(())

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        """The rows that fit; all if nothing was filled in."""
        if not self.used_parameters:
            return queryset
        if self.form.is_valid():
            return self.narrow(queryset, self.form.cleaned_data)
        for name, errors in self.form.errors.items():
            messages.error(request, f"{self.form.fields[name].label}: {errors[0]}")
        return queryset.none()

    def narrow(self, queryset: "QuerySet[Any]", given: dict[str, Any]) -> "QuerySet[Any]":
        """The rows that fit what was given (a field that was left empty is None). Raises
        NotImplementedError: each subclass says it."""
        raise NotImplementedError


class DatesForm(forms.Form):
    """First and last day, both included; either may be empty."""

    since = DayField(
        label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    until = DayField(label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def clean_until(self) -> date | None:
        """The last day, or None. Raises ValidationError if the first day comes after it."""
        until: date | None = self.cleaned_data["until"]
        try:
            check_order(since=self.cleaned_data.get("since"), until=until)
        except InvalidInput as error:
            raise forms.ValidationError(error.sentence) from error
        return until


class DatesFilter(FormFilter):
    """Rows of some days; the column is said by a subclass."""

    title = _("date")
    form_class = DatesForm
    column: ClassVar[str]

    def narrow(self, queryset: "QuerySet[Any]", given: dict[str, Any]) -> "QuerySet[Any]":
        """From the first moment of the one day to the last of the other, in the studio's zone."""
        if given["since"]:
            queryset = queryset.filter(**{f"{self.column}__gte": start_of(given["since"])})
        if given["until"]:
            queryset = queryset.filter(**{f"{self.column}__lt": end_of(given["until"])})
        return queryset


class CreatedFilter(DatesFilter):
    """Rows that were made on some days."""

    column = "created_at"
