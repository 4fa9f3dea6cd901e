"""Requests for credits: who asks, what they have and used, and the answer in one click."""

from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.decorators import action
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextInputWidget

from webapp.accounts.models import User
from webapp.core.digits import read_whole
from webapp.core.errors import DarkroomError
from webapp.core.methods import require_POST
from webapp.core.numbers import PlainNumberField
from webapp.core.units import CREDIT_PLACES, format_credits, to_ucr
from webapp.credits import requests
from webapp.credits.models import CreditRequest
from webapp.credits.request_selectors import SPEND_DAYS, get_applicant, with_applicants
from webapp.operations.admin.ask import Button, Question, ask, posted, tell_and_leave
from webapp.operations.admin.base import ReadOnlyAdmin
from webapp.operations.admin.reauthentication import require_password

OPEN = CreditRequest.State.OPEN
CHANGELIST = "admin:credits_creditrequest_changelist"


class AnswerForm(forms.Form):
    """How much is given, and what the user reads."""

    amount = PlainNumberField(
        label=gettext_lazy("Credits to give"),
        decimal_places=CREDIT_PLACES,
        widget=UnfoldAdminDecimalFieldWidget,
    )
    answer = forms.CharField(
        label=gettext_lazy("Answer"),
        max_length=requests.MAX_ANSWER_LENGTH,
        required=False,
        help_text=gettext_lazy("The user sees it. Declining needs one."),
        widget=UnfoldAdminTextInputWidget,
    )
    # What the button says that the form is sent with.
    answer_with = forms.ChoiceField(
        choices=[("approve", ""), ("decline", "")], widget=forms.HiddenInput
    )

    def clean(self) -> dict[str, Any] | None:
        """The cleaned fields; a button has no place of its own for its complaint."""
        if "answer_with" in self.errors:
            self.add_error(None, _("Say whether you approve or decline."))
        return super().clean()


@admin.register(CreditRequest)
class CreditRequestAdmin(ReadOnlyAdmin):
    """The inbox of requests, open ones first."""

    list_display = ["user", "asked", "why", "available", "used", "created_at", "answering"]
    list_filter = ["state", "created_at"]
    list_select_related = ["user", "decided_by"]
    list_after_template = "operations/one_click_form.html"
    search_fields = ["user__email", "reason"]
    show_full_result_count = False
    fields = readonly_fields = [
        "user",
        "asked",
        "reason",
        "available",
        "used",
        "created_at",
        "state",
        "granted",
        "answer",
        "decided_by",
        "decided_at",
    ]
    actions = ["approve_chosen"]
    actions_detail = ["answer_request"]

    class Media:
        css = {"all": ["css/one-click.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditRequest]:
        """With what the people who ask have and used."""
        return with_applicants(super().get_queryset(request))

    def get_ordering(self, request: HttpRequest) -> Sequence[Any]:
        """Open requests first, the newest first among each."""
        return [Case(When(state=OPEN, then=Value(0)), default=Value(1)), "-created_at"]

    def has_answer_permission(self, request: HttpRequest) -> bool:
        """Whoever may change requests may answer them."""
        return bool(cast("User", request.user).has_perm("credits.change_creditrequest"))

    def get_urls(self) -> list[URLPattern]:
        """With the address of the one click."""
        one_click = path(
            "<path:object_id>/approval/",
            self.admin_site.admin_view(self.approve_in_one_click),
            name="credits_creditrequest_approve",
        )
        return [one_click, *super().get_urls()]

    @admin.display(description=gettext_lazy("asks for"), ordering="amount_ucr")
    def asked(self, asked: CreditRequest) -> SafeString:
        return _unbroken(format_credits(asked.amount_ucr))

    @admin.display(description=gettext_lazy("reason"))
    def why(self, asked: CreditRequest) -> str:
        """The reason, cut to 80 characters."""
        return Truncator(asked.reason).chars(80)

    @admin.display(description=gettext_lazy("has"), ordering="available_ucr")
    def available(self, asked: CreditRequest) -> SafeString:
        """What the person can spend now."""
        return _unbroken(format_credits(getattr(asked, "available_ucr", 0)))

    @admin.display(description=gettext_lazy("used in 30 days"), ordering="spent_ucr")
    def used(self, asked: CreditRequest) -> str:
        """What the last 30 days' images cost, and how many they were."""
        return _spend(getattr(asked, "spent_ucr", 0), getattr(asked, "images", 0))

    @admin.display(description=gettext_lazy("given"))
    def granted(self, asked: CreditRequest) -> str:
        """What was given; a dash if nothing was."""
        return "–" if asked.granted_ucr is None else format_credits(asked.granted_ucr)

    def get_list_display(self, request: HttpRequest) -> Sequence[str]:
        """With the buttons for whoever may answer, and the state for whoever may only look."""
        columns = super().get_list_display(request)
        return columns if self.has_answer_permission(request) else [*columns[:-1], "state"]

    @admin.display(description=gettext_lazy("answer"))
    def answering(self, asked: CreditRequest) -> str | SafeString:
        """A button that approves, and the way to any other answer; later, what it was."""
        if asked.state != OPEN:
            return str(asked.get_state_display())
        amount = format_credits(asked.amount_ucr)
        return format_html(
            '<span class="one-click-cell"><button class="one-click" type="submit" form="one-click"'
            ' formaction="{}" aria-label="{}">{}</button>'
            '<a class="one-click-other" href="{}">{}</a></span>',
            reverse("admin:credits_creditrequest_approve", args=[asked.pk]),
            _("Approve %(amount)s credits for %(user)s") % {"amount": amount, "user": asked.user},
            _("Approve"),
            reverse("admin:credits_creditrequest_answer_request", args=[asked.pk]),
            _("Other answer"),
        )

    def approve_in_one_click(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Gives what was asked for, and goes back to the list; takes a POST."""
        return _approve_posted(request, self, object_id)

    @admin.action(description=gettext_lazy("Approve what was asked for"), permissions=["answer"])
    def approve_chosen(self, request: HttpRequest, chosen: QuerySet[CreditRequest]) -> None:
        """Approves each of them; tells of those that were answered meanwhile."""
        require_password(request)
        approved = 0
        for asked in chosen.order_by("pk"):
            approved += _approve(request, asked.pk)
        if approved:
            sentence = ngettext(
                "%(n)d request was approved.", "%(n)d requests were approved.", approved
            )
            messages.success(request, sentence % {"n": approved})

    @action(description=gettext_lazy("Answer"), url_path="answer", icon="reply")  # type: ignore[untyped-decorator]
    def answer_request(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A form for another amount, or a refusal; then the list."""
        _allow(self, request)
        asked = requests.get_request(request_id=_number(object_id))
        initial = {"amount": format_credits(asked.amount_ucr)}
        form = AnswerForm(posted(request), initial=initial)
        return ask(self, request, form, _question(asked), lambda: _answer(request, asked, form))


@require_POST
def _approve_posted(request: HttpRequest, page: CreditRequestAdmin, object_id: str) -> HttpResponse:
    _allow(page, request)
    require_password(request)
    if _approve(request, _number(object_id)):
        messages.success(request, _("The request was approved."))
    return redirect(CHANGELIST)


def _approve(request: HttpRequest, request_id: int) -> bool:
    """True if it is approved; False if a message says why not."""
    try:
        requests.approve_request(request_id=request_id, actor=cast("User", request.user))
    except DarkroomError as error:
        messages.error(request, error.sentence)
        return False
    return True


def _question(asked: CreditRequest) -> Question:
    applicant = get_applicant(request_id=asked.pk)
    has = _("Has %(available)s credits; in the last %(days)d days: %(used)s.") % {
        "available": format_credits(applicant.available_ucr),
        "days": SPEND_DAYS,
        "used": _spend(applicant.spent_ucr, applicant.images),
    }
    wants = _("Asks for %(amount)s credits: %(reason)s") % {
        "amount": format_credits(asked.amount_ucr),
        "reason": asked.reason,
    }
    buttons = [Button("approve", _("Approve")), Button("decline", _("Decline"), "danger")]
    title = _("Answer %(user)s") % {"user": asked.user}
    return Question(title, [wants, has], buttons, reverse(CHANGELIST))


def _answer(request: HttpRequest, asked: CreditRequest, form: AnswerForm) -> HttpResponse:
    told: dict[str, Any] = form.cleaned_data
    actor = cast("User", request.user)
    if told["answer_with"] == "decline":
        requests.decline_request(request_id=asked.pk, actor=actor, answer=told["answer"])
    else:
        requests.approve_request(
            request_id=asked.pk,
            actor=actor,
            amount_ucr=to_ucr(told["amount"]),
            answer=told["answer"],
        )
    sentence = _("Your answer to %(user)s was sent.") % {"user": asked.user}
    return tell_and_leave(request, sentence, reverse(CHANGELIST))


def _allow(page: CreditRequestAdmin, request: HttpRequest) -> None:
    if not page.has_answer_permission(request):
        raise PermissionDenied


def _number(object_id: str) -> int:
    """The row's number; 0, which no row has, if it is none."""
    try:
        return read_whole(object_id)
    except ValueError:
        return 0


def _unbroken(amount: str) -> SafeString:
    return format_html('<span class="one-click-amount">{}</span>', amount)


def _spend(spent_ucr: int, images: int) -> str:
    return ngettext("%(spent)s credits, %(n)d image", "%(spent)s credits, %(n)d images", images) % {
        "spent": format_credits(spent_ucr),
        "n": images,
    }
