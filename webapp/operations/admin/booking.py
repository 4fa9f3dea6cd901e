"""What the pages that move credits share: who may, the password again, and the reason."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from webapp.accounts.models import User
from webapp.core.errors import DarkroomError
from webapp.core.numbers import PlainNumberField
from webapp.core.units import CREDIT_PLACES, to_ucr
from webapp.credits import ledger
from webapp.operations.admin.reauthentication import require_password


class CreditsField(PlainNumberField):
    """An amount in credits; its cleaned value is in whole micro-credits."""

    def __init__(self, **options: Any) -> None:
        super().__init__(decimal_places=CREDIT_PLACES, **options)

    def clean(self, value: Any) -> Any:
        """Micro-credits; None for an empty field that may be empty."""
        amount: Decimal | None = super().clean(value)
        return None if amount is None else to_ucr(amount)


class ChangeField(CreditsField):
    """An amount that is added, or taken away if it is negative: never 0."""

    def clean(self, value: Any) -> Any:
        """Micro-credits, negative to take away; None for an empty field that may be empty. Raises
        ValidationError for 0."""
        amount_ucr: int | None = super().clean(value)
        if amount_ucr == 0:
            raise ValidationError(gettext("0 credits change nothing."))
        return amount_ucr


class ReasonForm(forms.Form):
    """The reason of a transaction, which the user reads on the statement."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=ledger.MAX_REASON_LENGTH,
        help_text=_("The user sees it on the statement."),
    )


def require_booker(request: HttpRequest) -> User:
    """The administrator, if they may change people's credits; raises PermissionDenied
    otherwise."""
    actor = cast("User", request.user)
    if not actor.has_perm("accounts.change_user"):
        raise PermissionDenied
    return actor


def reason_page(
    request: HttpRequest,
    model_admin: "ModelAdmin[Any]",
    *,
    title: str,
    lead: str,
    button: str,
    act: Callable[[User, str], str],
    back: str,
) -> HttpResponse:
    """A page that asks why before `act(actor, reason)` is done. `act` returns the sentence that
    says what was done; what it raises stands on the page as a sentence, and nothing was done."""
    actor = require_booker(request)
    form = ReasonForm(request.POST or None)
    if request.method == "POST":
        require_password(request)
    if form.is_valid():
        try:
            sentence = act(actor, form.cleaned_data["reason"])
        except DarkroomError as error:
            form.add_error("reason", error.sentence)
        else:
            messages.success(request, sentence)
            return redirect(back)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": title,
        "lead": lead,
        "button": button,
        "form": form,
        "back": back,
    }
    return TemplateResponse(request, "operations/reason.html", context)
