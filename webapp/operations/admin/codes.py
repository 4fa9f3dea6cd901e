"""Codes: batches of them are made, written as a CSV, watched and revoked."""

import csv
import uuid
from datetime import MAXYEAR, date, datetime
from typing import cast
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextInputWidget,
)

from webapp.accounts.models import User
from webapp.core.days import end_of
from webapp.core.ids import find_id
from webapp.core.numbers import PlainNumberField, WholeNumberField
from webapp.core.texts import SEEN_BY_ADMINISTRATORS
from webapp.core.units import CREDIT_PLACES, format_credits, to_ucr
from webapp.credits import codes
from webapp.credits.models import CodeBatch, CodeUse
from webapp.operations.admin.ask import (
    Button,
    LastDayField,
    OnceForm,
    Question,
    ReasonForm,
    ask,
    posted,
    tell_and_leave,
)
from webapp.operations.admin.base import ReadOnlyAdmin

CHANGE = "credits.change_codebatch"


class MakeCodesForm(OnceForm):
    """A batch of codes, whose id is the form's key."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=codes.MAX_NAME_LENGTH,
        help_text=SEEN_BY_ADMINISTRATORS,
        widget=UnfoldAdminTextInputWidget,
    )
    amount = PlainNumberField(
        label=gettext_lazy("Credits of one code"),
        decimal_places=CREDIT_PLACES,
        widget=UnfoldAdminDecimalFieldWidget,
    )
    count = WholeNumberField(
        label=gettext_lazy("How many codes"), widget=UnfoldAdminIntegerFieldWidget
    )
    uses_per_code = WholeNumberField(
        label=gettext_lazy("Users for one code"),
        initial=1,
        help_text=gettext_lazy("How many users can redeem the same code, each of them once."),
        widget=UnfoldAdminIntegerFieldWidget,
    )
    per_user_limit = WholeNumberField(
        label=gettext_lazy("Codes for one user"),
        initial=1,
        help_text=gettext_lazy("How many different codes of this batch one user can redeem."),
        widget=UnfoldAdminIntegerFieldWidget,
    )
    last_day = LastDayField(widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}))

    def clean_last_day(self) -> date | None:
        """The day, or None. Raises ValidationError in the last year that a date can have: codes end
        at the beginning of the day after."""
        day: date | None = self.cleaned_data["last_day"]
        if day is not None and day.year == MAXYEAR:
            raise forms.ValidationError(_("That day is too far in the future."))
        return day

    def expires_at(self) -> datetime | None:
        """The moment after the last day, in the studio's time zone."""
        day = self.cleaned_data["last_day"]
        if day is None:
            return None
        return end_of(day)


@admin.register(CodeBatch)
class CodeBatchAdmin(ReadOnlyAdmin):
    """Batches of codes; they are never changed, only revoked."""

    list_display = ["name", "amount", "count", "redeemed", "last_day", "state", "created_at"]
    list_filter = ["created_at"]
    search_fields = ["name"]
    list_select_related = ["created_by"]
    fields = readonly_fields = [
        "name",
        "amount",
        "count",
        "uses_per_code",
        "per_user_limit",
        "last_day",
        "state",
        "progress",
        "users",
        "created_by",
        "created_at",
    ]
    actions_list = ["make_codes"]
    actions_detail = ["write_csv", "revoke"]

    class Media:
        css = {"all": ["css/one-click.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[CodeBatch]:
        """With the number of uses, so that a page of the list is one query."""
        batches: QuerySet[CodeBatch] = super().get_queryset(request)
        return batches.annotate(uses=Count("codes__uses"))

    @admin.display(description=gettext_lazy("credits"), ordering="amount_ucr")
    def amount(self, batch: CodeBatch) -> str:
        """What one code gives to each who redeems it."""
        return format_credits(batch.amount_ucr)

    @admin.display(description=gettext_lazy("redeemed"), ordering="uses")
    def redeemed(self, batch: CodeBatch) -> str:
        """How often its codes were redeemed, of how often they can be."""
        return f"{getattr(batch, 'uses', 0)} / {batch.count * batch.uses_per_code}"

    @admin.display(description=gettext_lazy("last day"), ordering="expires_at")
    def last_day(self, batch: CodeBatch) -> str:
        """The last whole or begun day on which the codes are good."""
        day = codes.last_day(batch)
        return day.isoformat() if day else "–"

    @admin.display(description=gettext_lazy("state"))
    def state(self, batch: CodeBatch) -> str:
        """Whether its codes can be redeemed."""
        if batch.revoked_at is not None:
            day = timezone.localtime(batch.revoked_at).date().isoformat()
            return _("revoked on %(day)s") % {"day": day}
        expired = batch.expires_at is not None and batch.expires_at <= timezone.now()
        return _("expired") if expired else _("open")

    @admin.display(description=gettext_lazy("so far"))
    def progress(self, batch: CodeBatch) -> str:
        """How far the batch is used up, in a sentence."""
        used = codes.summarise_batch(batch=batch)
        sentence = _(
            "Uses: %(uses)d. Users: %(people)d. Credits given: %(given)s. Unused codes: "
            "%(untouched)d."
        )
        return sentence % {
            "uses": used.uses,
            "people": used.people,
            "given": format_credits(used.given_ucr),
            "untouched": used.untouched,
        }

    @admin.display(description=pgettext_lazy("redeemed a code", "who"))
    def users(self, batch: CodeBatch) -> str:
        """The way to the list of its uses."""
        url = reverse("admin:credits_codeuse_changelist")
        query = urlencode({"code__batch__id__exact": batch.pk})
        return format_html(
            '<a class="one-click-other" href="{}?{}">{}</a>', url, query, _("Every use")
        )

    @action(description=gettext_lazy("Create codes"), url_path="make", icon="add")  # type: ignore[untyped-decorator]
    def make_codes(self, request: HttpRequest) -> HttpResponse:
        """A form for a batch; then the batch's page, where its CSV is written."""
        _allow(request, "credits.add_codebatch")
        form = MakeCodesForm(posted(request))
        question = Question(
            _("Create codes"),
            [_("Anyone who has a code can redeem it for credits.")],
            [Button("make", _("Create them"))],
            reverse("admin:credits_codebatch_changelist"),
        )
        return ask(self, request, form, question, lambda: _make(request, form))

    @action(description=gettext_lazy("Download the CSV"), url_path="csv", icon="download")  # type: ignore[untyped-decorator]
    def write_csv(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks first: whoever has the file can redeem the codes. Then the file."""
        batch = self._batch(request, object_id)
        question = Question(
            _("Download the codes of %(batch)s") % {"batch": batch},
            [
                _("Anyone who has this file can redeem the codes."),
                _("It can be downloaded at any time. Each download is recorded in the audit log."),
            ],
            [Button("write", _("Download the CSV"))],
            _page_of(batch),
        )
        actor = cast("User", request.user)
        form = forms.Form(posted(request))
        return ask(self, request, form, question, lambda: _csv(batch, actor=actor))

    @action(  # type: ignore[untyped-decorator]
        description=gettext_lazy("Revoke"),
        url_path="revocation",
        icon="block",
        variant=ActionVariant.DANGER,
    )
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A form for the reason; then the batch's page."""
        batch = self._batch(request, object_id)
        form = ReasonForm(request, most=codes.MAX_REASON_LENGTH)
        question = Question(
            _("Revoke %(batch)s") % {"batch": batch},
            [self.progress(batch), _("Credits that were already redeemed stay with their users.")],
            [Button("revoke", _("Revoke them"), "danger")],
            _page_of(batch),
        )

        def revoke() -> HttpResponse:
            actor, reason = cast("User", request.user), form.cleaned_data["reason"]
            codes.revoke_batch(batch_id=batch.pk, actor=actor, reason=reason)
            return tell_and_leave(request, _("The codes are revoked."), _page_of(batch))

        return ask(self, request, form, question, revoke)

    def _batch(self, request: HttpRequest, object_id: str) -> CodeBatch:
        """The batch, for an administrator who may change it."""
        _allow(request, CHANGE)
        return codes.get_batch(batch_id=find_id(object_id) or uuid.UUID(int=0))


@admin.register(CodeUse)
class CodeUseAdmin(ReadOnlyAdmin):
    """Who redeemed which code, and when."""

    list_display = ["at", "account", "batch", "number", "amount"]
    list_filter = [("code__batch", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["account__user", "code__batch"]
    search_fields = ["account__user__email", "code__batch__name"]
    ordering = ["-pk"]
    show_full_result_count = False

    @admin.display(description=gettext_lazy("batch"))
    def batch(self, use: CodeUse) -> str:
        """The batch that the code is of."""
        return use.code.batch.name

    @admin.display(description=gettext_lazy("number"))
    def number(self, use: CodeUse) -> int:
        """Which line of the batch's CSV."""
        return use.code.number

    @admin.display(description=gettext_lazy("credits"))
    def amount(self, use: CodeUse) -> str:
        """What the user got by it."""
        return format_credits(use.code.batch.amount_ucr)


def _allow(request: HttpRequest, permission: str) -> None:
    if not cast("User", request.user).has_perm(permission):
        raise PermissionDenied


def _make(request: HttpRequest, form: MakeCodesForm) -> HttpResponse:
    told = form.cleaned_data
    batch = codes.create_batch(
        batch_id=told["key"],
        actor=cast("User", request.user),
        name=told["name"],
        amount_ucr=to_ucr(told["amount"]),
        count=told["count"],
        uses_per_code=told["uses_per_code"],
        per_user_limit=told["per_user_limit"],
        expires_at=form.expires_at(),
    )
    sentence = _("%(count)d codes were created. Download the CSV to hand them out.")
    return tell_and_leave(request, sentence % {"count": batch.count}, _page_of(batch))


def _page_of(batch: CodeBatch) -> str:
    return reverse("admin:credits_codebatch_change", args=[batch.pk])


def _csv(batch: CodeBatch, *, actor: User) -> HttpResponse:
    lines = codes.export_batch(batch_id=batch.pk, actor=actor)
    name = slugify(batch.name) or "codes"
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="codes-{name}.csv"'},
    )
    writer = csv.writer(response)
    writer.writerow(["code", "credits", "uses_left", "last_day"])
    day = codes.last_day(batch)
    for line in lines:
        writer.writerow([line.text, format_credits(batch.amount_ucr), line.uses_left, day or ""])
    return response
