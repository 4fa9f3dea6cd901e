"""What the pages that move credits share: who may, the password again, and the reason."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from webapp.accounts.models import User
from webapp.core.numbers import PlainNumberField
from webapp.core.texts import SEEN_BY_ADMINISTRATORS
from webapp.core.units import CREDIT_PLACES, to_ucr
from webapp.credits import ledger
from webapp.credits.ledger.by_hand import tell_amount
from webapp.operations.admin.ask import Button, Question, ReasonForm, ask, tell_and_leave

READ_BY_USER = _("The user sees it on the statement.")


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
        ValidationError for what the ledger does not move."""
        amount_ucr: int | None = super().clean(value)
        problem = "" if amount_ucr is None else tell_amount(amount_ucr)
        if problem:
            raise ValidationError(problem)
        return amount_ucr


class WordsForm(forms.Form):
    """The reason, which users read on their statement, and a note that only administrators read."""

    reason = forms.CharField(
        label=_("Reason"), max_length=ledger.MAX_REASON_LENGTH, help_text=READ_BY_USER
    )
    note = forms.CharField(
        label=_("Note"),
        max_length=ledger.MAX_NOTE_LENGTH,
        required=False,
        help_text=SEEN_BY_ADMINISTRATORS,
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
    form = ReasonForm(request, most=ledger.MAX_REASON_LENGTH, hint=READ_BY_USER)
    question = Question(title, [lead], [Button("book", button)], back)

    def book() -> HttpResponse:
        return tell_and_leave(request, act(actor, form.cleaned_data["reason"]), back)

    return ask(model_admin, request, form, question, book)
