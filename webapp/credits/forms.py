"""What people type on the pages about credits."""

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from webapp.core.errors import DarkroomError, InvalidInput
from webapp.core.numbers import PlainNumberField
from webapp.core.units import CREDIT_PLACES, to_ucr
from webapp.credits.code_text import read_code
from webapp.credits.requests import MAX_REASON_LENGTH


class RedeemForm(forms.Form):
    """One code, as somebody copied or typed it."""

    code = forms.CharField(
        label=_("Code"),
        max_length=100,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "off",
                "autocapitalize": "characters",
                "spellcheck": "false",
                "placeholder": "DR-XXXXX-…",
            }
        ),
    )

    def clean_code(self) -> str:
        """The code as it was typed. Raises ValidationError if no code can look like that."""
        typed: str = self.cleaned_data["code"]
        try:
            read_code(typed)
        except InvalidInput as error:
            raise ValidationError(error.sentence) from error
        return typed


class AskForm(forms.Form):
    """How many credits somebody asks for, and why."""

    amount = PlainNumberField(
        label=_("How many credits"),
        decimal_places=CREDIT_PLACES,
        widget=forms.NumberInput(attrs={"min": "0", "step": "any", "inputmode": "decimal"}),
    )
    reason = forms.CharField(
        label=_("What for"),
        max_length=MAX_REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    @property
    def amount_ucr(self) -> int:
        """The cleaned amount in micro-credits."""
        return to_ucr(self.cleaned_data["amount"])


def put_on_form(form: forms.Form, error: DarkroomError, *, field: str) -> None:
    """Writes the error's sentence at the field that it names, or at `field`."""
    named = getattr(error, "field", field)
    form.add_error(named if named in form.fields else field, error.sentence)
