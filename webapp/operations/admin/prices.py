"""The price list: its versions to be looked at, and the page that makes the next one."""

from typing import cast

from django.contrib import admin, messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.decorators import action

from webapp.accounts.models import User
from webapp.catalog.models import GroupPrice, ModelPrice, PriceList
from webapp.catalog.price_services import (
    CHANGED_MEANWHILE,
    NOTHING_CHANGES,
    publish_prices,
    read_draft,
)
from webapp.catalog.pricing import plain
from webapp.core.errors import Conflict, DarkroomError
from webapp.core.units import format_credits
from webapp.operations.admin.base import ReadOnlyAdmin
from webapp.operations.admin.price_form import (
    Preview,
    PriceForm,
    digest,
    list_previews,
    tell_in_force,
)


class _VersionInline(TabularInline):  # type: ignore[misc]
    """Lines of a version; nobody writes them by hand."""

    extra = 0
    can_delete = False
    # What a line is called says no more than its cells do.
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A version is never changed."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A version is never changed."""
        return False


class ModelPriceInline(_VersionInline):
    """The models of a version that have a price of their own."""

    model = ModelPrice
    fields = readonly_fields = ["model", "mode", "one_image", "by_factor", "never_below"]

    @admin.display(description=_("one image"))
    def one_image(self, price: ModelPrice) -> str:
        """The flat price in credits; empty for a metered one."""
        return "" if price.flat_ucr is None else format_credits(price.flat_ucr)

    @admin.display(description=_("factor"))
    def by_factor(self, price: ModelPrice) -> str:
        """The factor of a metered price, without an exponent; empty for a flat one."""
        return "" if price.factor is None else plain(price.factor)

    @admin.display(description=_("minimum price"))
    def never_below(self, price: ModelPrice) -> str:
        """The least that a metered image costs, in credits; empty for a flat price."""
        return "" if price.floor_ucr is None else format_credits(price.floor_ucr)


class GroupPriceInline(_VersionInline):
    """The share of the price that each group paid under a version."""

    model = GroupPrice
    fields = readonly_fields = ["group_name", "share"]

    @admin.display(description=_("share of the price"))
    def share(self, price: GroupPrice) -> str:
        """The share without trailing zeros."""
        return plain(price.multiplier)


@admin.register(PriceList)
class PriceListAdmin(ReadOnlyAdmin):
    """Versions are looked at; the button on top makes the next one."""

    list_display = ["version", "created_at", "one_image", "created_by", "note"]
    list_select_related = ["created_by"]
    fields = ["created_at", "one_image", "created_by", "note"]
    inlines = [ModelPriceInline, GroupPriceInline]
    actions_list = ["change_prices"]

    @admin.display(description=_("version"), ordering="pk")
    def version(self, version: PriceList) -> str:
        return str(version.pk)

    @admin.display(description=_("one image"), ordering="flat_ucr")
    def one_image(self, version: PriceList) -> str:
        """The flat price of one image, in credits."""
        return format_credits(version.flat_ucr)

    def has_publish_permission(self, request: HttpRequest) -> bool:
        """True if the administrator may add a version, which is what changing prices does."""
        return request.user.has_perm("catalog.add_pricelist")

    @action(  # type: ignore[untyped-decorator]
        description=_("Change the prices"),
        url_path="next",
        icon="sell",
        permissions=["publish"],
    )
    def change_prices(self, request: HttpRequest) -> HttpResponse:
        """The whole list as a form; sent once it shows what would change, sent again it makes
        the next version."""
        number, in_force = read_draft()
        form = PriceForm(
            request.POST.dict() if request.method == "POST" else None,
            number=number,
            draft=in_force,
        )
        previews: list[Preview] = []
        if form.is_bound and form.is_valid():
            if _was_seen(request, form) and _publish(request, form):
                return redirect("admin:catalog_pricelist_changelist")
            previews = _look(form, number)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Change the prices"),
            "number": number,
            "form": form,
            "previews": previews,
            "is_looked_at": form.is_bound and form.is_valid(),
        }
        return TemplateResponse(request, "operations/prices.html", context)


def _was_seen(request: HttpRequest, form: PriceForm) -> bool:
    return "save" in request.POST and form.cleaned_data["seen"] == digest(form.draft())


def _look(form: PriceForm, number: int | None) -> list[Preview]:
    """What would change; none if the form has a sentence of its own now, or if the first list
    says what the defaults say."""
    if form.errors:
        return []
    if form.cleaned_data["based_on"] != number:
        form.add_error(None, CHANGED_MEANWHILE)
        return []
    previews = list_previews(before=form.in_force, after=form.draft())
    if previews or number is None:
        form.show_again(seen=digest(form.draft()))
    else:
        form.add_error(None, NOTHING_CHANGES)
    return previews


def _publish(request: HttpRequest, form: PriceForm) -> bool:
    """True if the next version is in force; False if its sentence stands on the form."""
    try:
        made = publish_prices(
            draft=form.draft(),
            based_on=form.cleaned_data["based_on"],
            actor=cast("User", request.user),
            note=form.cleaned_data["note"],
        )
    except DarkroomError as error:
        named = getattr(error, "field", None)
        form.add_error(None if isinstance(error, Conflict) else named, error.sentence)
        return False
    messages.success(request, tell_in_force(made))
    return True
