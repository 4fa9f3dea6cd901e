"""The queue, and what became of each image."""

import uuid
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.accounts.models import User
from webapp.catalog.models import ModelPrice
from webapp.core.ids import find_id
from webapp.core.units import format_credits
from webapp.credits.models import Account, Entry, Hold, Transaction
from webapp.generation.models import Image
from webapp.operations import topups
from webapp.operations.admin.base import RowPageAdmin
from webapp.operations.admin.booking import reason_page
from webapp.operations.admin.filters import CreatedFilter, FormFilter
from webapp.operations.admin.long_lists import LongList, LongListPaginator, short_time
from webapp.operations.admin.navigation import row_address
from webapp.operations.admin.people_search import find_people
from webapp.statements.receipt import STAGES

MOST_PEOPLE = 100
# What `catalog.pricing.Quote.terms` holds, in words.
TERMS = {
    "mode": gettext_lazy("Pricing"),
    "flat_ucr": gettext_lazy("Flat price"),
    "factor": gettext_lazy("Factor"),
    "floor_ucr": gettext_lazy("Minimum price"),
    "multiplier": gettext_lazy("Share of the price"),
    "group": gettext_lazy("Group"),
}


class FailureForm(forms.Form):
    """The whole code of a failure."""

    failure = forms.CharField(label=gettext_lazy("Code"), required=False, max_length=40)


class FailureFilter(FormFilter):
    """By the code of failure: typed, for listing all that ever were would read every image."""

    title = gettext_lazy("failure")
    form_class = FailureForm

    def narrow(self, queryset: "QuerySet[Any]", given: dict[str, Any]) -> "QuerySet[Any]":
        return queryset.filter(state=Image.State.FAILED, failure_code=given["failure"])


@admin.register(Image)
class ImageAdmin(LongList, RowPageAdmin):
    """The queue and what became of it. Prompts and images stay their owner's."""

    row_template = "operations/image.html"
    list_display = ["when", "who", "model", "state", "attempt", "worker", "failure_code"]
    list_filter = ["state", "model", CreatedFilter, FailureFilter]
    list_filter_submit = True
    list_select_related = ["owner", "model"]
    search_fields = ["id"]
    search_help_text = gettext_lazy("Address or image")
    ordering = ["-created_at", "-pk"]
    sortable_by: ClassVar[list[str]] = []
    paginator = LongListPaginator
    list_per_page = 50

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        """By the image, or by the beginning of the owner's address."""
        term = search_term.strip()
        if not term:
            return queryset, False
        image_id = find_id(term)
        if image_id is not None:
            return queryset.filter(pk=image_id), False
        found = find_people(User.objects.all(), term).values_list("pk", flat=True)
        return queryset.filter(owner__in=list(found[:MOST_PEOPLE])), False

    def get_urls(self) -> list[URLPattern]:
        """The way to give an image's price back."""
        refund = self.admin_site.admin_view(self.refund)
        name = "generation_image_refund"
        return [path("<uuid:image_id>/refund/", refund, name=name), *super().get_urls()]

    @admin.display(description=_("requested"))
    def when(self, image: Image) -> str:
        return short_time(image.created_at)

    @admin.display(description=gettext_lazy("owner"))
    def who(self, image: Image) -> str:
        """Whose it is, with the way there."""
        return format_html('<a href="{}">{}</a>', row_address(User, image.owner_id), image.owner)

    def row_context(self, row: Image) -> dict[str, Any]:
        """What became of the image, and its money; neither its prompt nor the image."""
        hold = Hold.objects.filter(image_id=row.pk).first()
        entries = list_image_entries(row.pk)
        refunded = any(line.transaction.kind == Transaction.Kind.REFUND for line in entries)
        return {
            "title": _("Image %(id)s") % {"id": str(row.pk)[:8]},
            "image": row,
            "hold": hold,
            "entries": entries,
            "terms": describe_terms(row.generation.price_terms),
            "timings": [
                (told, row.timings_s[key]) for key, told in STAGES.items() if row.timings_s.get(key)
            ],
            "can_refund": bool(hold and hold.state == Hold.State.CAPTURED and not refunded),
        }

    def refund(self, request: HttpRequest, image_id: uuid.UUID) -> HttpResponse:
        """Asks for the reason, then gives the image's price back by a new entry. Raises Http404 if
        nothing was ever held for it."""
        hold = Hold.objects.select_related("account").filter(image_id=image_id).first()
        if hold is None:
            raise Http404
        return reason_page(
            request,
            self,
            title=_("Refund the image"),
            lead=_("%(whose)s gets %(amount)s credits back by a new entry.")
            % {"whose": hold.account, "amount": format_credits(hold.amount_ucr)},
            button=_("Refund"),
            act=lambda actor, reason: _refund(image_id, actor, reason),
            back=row_address(Image, image_id),
        )


def list_image_entries(image_id: uuid.UUID) -> list[Entry]:
    """What was charged and given back for the image on its owner's account, oldest first."""
    lines = Entry.objects.filter(image_id=image_id, account__kind=Account.Kind.USER)
    return list(lines.select_related("transaction").order_by("pk"))


def describe_terms(terms: dict[str, Any]) -> list[tuple[str, str]]:
    """How a price came about, as `(what, how much)`; the size and the steps are told elsewhere."""
    modes = dict(ModelPrice.Mode.choices)
    told = {**terms, "mode": modes.get(str(terms.get("mode")), "")}
    said = [(words, told.get(name), name) for name, words in TERMS.items()]
    return [
        (str(words), format_credits(value) if name.endswith("_ucr") else str(value))
        for words, value, name in said
        if value not in (None, "")
    ]


def _refund(image_id: uuid.UUID, actor: User, reason: str) -> str:
    topups.refund_image(image_id=image_id, actor=actor, reason=reason)
    return _("The image was refunded.")
