"""Groups: what their members pay, are given and may spend."""

from decimal import Decimal
from typing import Any, cast
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.forms import BaseModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import format_lazy
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from webapp.accounts.models import User, UserGroup
from webapp.catalog.models import DiffusionModel, GroupPrice, PriceList
from webapp.catalog.price_services import price_group, read_draft
from webapp.catalog.pricing import WHOLE_PRICE, plain
from webapp.core.units import format_credits, to_ucr
from webapp.operations.admin.base import AuditedAdmin
from webapp.operations.admin.price_form import (
    WHAT_A_SHARE_IS,
    CreditsField,
    ShareField,
    tell_in_force,
)


class GroupForm(forms.ModelForm):  # type: ignore[type-arg]
    """A group with its amounts in credits, and the share of the price list that it pays."""

    allowance_credits = CreditsField(
        label=_("Credits a month"),
        required=False,
        help_text=_("Added every month, or filled up to."),
        widget=UnfoldAdminDecimalFieldWidget,
    )
    daily_spend_credits = CreditsField(
        label=_("Credits a day"),
        required=False,
        help_text=_("What a member may spend a day. Empty: no limit."),
        widget=UnfoldAdminDecimalFieldWidget,
    )
    multiplier = ShareField(
        label=_("Share of the price"),
        help_text=format_lazy(
            "{} {}",
            WHAT_A_SHARE_IS,
            _("Changing the share creates the next version of the price list."),
        ),
        widget=UnfoldAdminDecimalFieldWidget,
    )

    class Meta:
        model = UserGroup
        fields = ["name", "allowance", "images_at_once"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        group = self.instance
        if group.pk is None:
            self.initial.setdefault("multiplier", plain(WHOLE_PRICE))
            return
        if group.allowance_ucr:
            self.initial["allowance_credits"] = format_credits(group.allowance_ucr)
        if group.daily_spend_ucr is not None:
            self.initial["daily_spend_credits"] = format_credits(group.daily_spend_ucr)
        share = read_draft()[1].groups.get(group.pk)
        self.initial["multiplier"] = None if share is None else plain(share)

    def clean(self) -> dict[str, Any]:
        """The cleaned fields, and the row's amounts in micro-credits."""
        fields = super().clean() or self.cleaned_data
        given = fields.get("allowance_credits")
        if fields.get("allowance") == UserGroup.Allowance.NONE and given:
            self.add_error(
                "allowance", _("Choose how these credits are given, or clear this field.")
            )
        elif fields.get("allowance") not in (None, UserGroup.Allowance.NONE) and not given:
            self.add_error("allowance_credits", _("Enter how many credits a month: more than 0."))
        if not self.errors:
            self.instance.allowance_ucr = to_ucr(given or Decimal(0))
            spend = fields["daily_spend_credits"]
            self.instance.daily_spend_ucr = None if spend is None else to_ucr(spend)
        return fields


@admin.register(UserGroup)
class UserGroupAdmin(AuditedAdmin):
    """Groups; who is in one is said on each person's page."""

    audit_name = "group"
    audit_skips = frozenset({"created_at"})
    form = GroupForm
    list_display = ["name", "people", "share", "monthly", "a_day", "images_at_once"]
    search_fields = ["name"]
    readonly_fields = ["people"]
    fieldsets = [
        (None, {"fields": ["name", "people"]}),
        (_("Price"), {"fields": ["multiplier"]}),
        (_("Monthly allowance"), {"fields": ["allowance", "allowance_credits"]}),
        (_("Limits of each member"), {"fields": ["daily_spend_credits", "images_at_once"]}),
    ]
    delete_confirmation_template = "operations/delete_group.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[UserGroup]:
        """With the number of members and the share that is in force."""
        newest = PriceList.objects.order_by("-pk").values("pk")[:1]
        mine = GroupPrice.objects.filter(price_list=Subquery(newest), group=OuterRef("pk"))
        rows: QuerySet[UserGroup] = super().get_queryset(request)
        return rows.annotate(
            member_count=Count("members"),
            in_force=Subquery(mine.values("multiplier")[:1]),
            is_priced=Exists(PriceList.objects.all()),
        )

    @admin.display(description=_("members"), ordering="member_count")
    def people(self, group: UserGroup) -> str:
        """How many, as a link to their list."""
        count: int = getattr(group, "member_count", 0)
        query = urlencode({"group__id__exact": group.pk or 0})
        address = f"{reverse('admin:accounts_user_changelist')}?{query}"
        return format_html('<a class="underline" href="{}">{}</a>', address, count)

    @admin.display(description=_("share of the price"), ordering="in_force")
    def share(self, group: UserGroup) -> str:
        """By the list in force; all of it before there is one."""
        if not getattr(group, "is_priced", False):
            return plain(WHOLE_PRICE)
        share: Decimal | None = getattr(group, "in_force", None)
        return gettext("none yet") if share is None else plain(share)

    @admin.display(description=_("credits a month"), ordering="allowance_ucr")
    def monthly(self, group: UserGroup) -> str:
        """The monthly allowance and whether it is added or filled up to; a dash if there is
        none."""
        if group.allowance == UserGroup.Allowance.NONE:
            return "–"
        return f"{format_credits(group.allowance_ucr)} ({group.get_allowance_display()})"

    @admin.display(description=_("credits a day"), ordering="daily_spend_ucr")
    def a_day(self, group: UserGroup) -> str:
        """What each member may spend a day; a dash if that is not limited."""
        return "–" if group.daily_spend_ucr is None else format_credits(group.daily_spend_ucr)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Groups are deleted one by one: each time what becomes of its members is said."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def save_related(
        self, request: HttpRequest, form: "BaseModelForm[Any]", formsets: Any, change: bool
    ) -> None:
        """Saves the group and its line in the log, and makes the next version of the price list
        if its share is another: one transaction."""
        super().save_related(request, form, formsets, change)
        if not change or "multiplier" in form.changed_data:
            made = price_group(
                group=form.instance,
                multiplier=form.cleaned_data["multiplier"],
                actor=cast("User", request.user),
            )
            if made is not None:
                messages.info(request, tell_in_force(made))

    @transaction.atomic
    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Says what becomes of the members; a group that is the only one of a model stays, or
        that model would be everybody's."""
        group = self.get_object(request, object_id)
        if group is not None and self.has_delete_permission(request, group):
            # Locked: no model can be given to this group alone while it is deleted.
            UserGroup.objects.select_for_update().get(pk=group.pk)
            names = _list_models_of_it_alone(group)
            if names:
                sentence = gettext(
                    "Only this group may use %(models)s. First choose who else may use them."
                )
                messages.error(request, sentence % {"models": ", ".join(names)})
                return redirect("admin:accounts_usergroup_change", object_id)
            extra_context = {**(extra_context or {}), "consequence": _consequence(group)}
        return super().delete_view(request, object_id, extra_context)  # type: ignore[no-any-return]


def _list_models_of_it_alone(group: UserGroup) -> list[str]:
    """The models that would be open to everybody without this group."""
    alone = DiffusionModel.objects.alias(chosen=Count("groups")).filter(chosen=1)
    return [model.name for model in alone.filter(pk__in=_models_of(group))]


def _models_of(group: UserGroup) -> QuerySet[Any, int]:
    return DiffusionModel.groups.through.objects.filter(usergroup=group).values_list(
        "diffusionmodel", flat=True
    )


def _consequence(group: UserGroup) -> str:
    members = group.members.count()
    return ngettext(
        "%(count)d member will be in no group: they pay the full price, have no group limits "
        "and get no allowance.",
        "%(count)d members will be in no group: they pay the full price, have no group limits "
        "and get no allowance.",
        members,
    ) % {"count": members}
