"""Numbers that people type into forms: whatever is wrong with one is told in a single sentence.

The reader is `core.digits`; no form here uses Django's own fields for numbers, which take "1_0".
"""

from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from webapp.core.digits import BLANKS, read_decimal, read_float, read_whole

# Beyond it a number of micro-credits would not fit its column.
MAX_WHOLE_DIGITS = 12


class PlainNumberField(forms.DecimalField):
    """A number as people write it, without an exponent; its cleaned value is a Decimal."""

    def __init__(
        self,
        *,
        decimal_places: int,
        min_value: int | None = None,
        max_value: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(decimal_places=decimal_places, **options)
        self.least, self.most = min_value, max_value
        self.widget.attrs |= {"step": "any", **self._limits()}

    def clean(self, value: Any) -> Any:
        """The number; None for an empty field that may be empty."""
        text = "" if value is None else str(value).strip(BLANKS)
        return self._read(text) if text else super().clean(None)

    def _read(self, text: str) -> Decimal:
        try:
            number = read_decimal(text)
        except ValueError as error:
            raise ValidationError(not_a_number(text)) from error
        if len(text.partition(".")[2]) > (self.decimal_places or 0):
            raise ValidationError(too_fine(self.decimal_places or 0))
        if len(text.partition(".")[0].lstrip("+-0")) > MAX_WHOLE_DIGITS:
            raise ValidationError(_("This number is too large."))
        if self.least is not None and number < self.least:
            raise ValidationError(self._out_of_range())
        if self.most is not None and number > self.most:
            raise ValidationError(self._out_of_range())
        return number

    def _out_of_range(self) -> str:
        if self.most is None:
            return _("Enter at least %(least)s.") % {"least": self.least}
        limits = {"least": self.least, "most": self.most}
        return _("Enter a number from %(least)s to %(most)s.") % limits

    def _limits(self) -> dict[str, str]:
        limits = {"min": self.least, "max": self.most}
        return {name: str(limit) for name, limit in limits.items() if limit is not None}


class WholeNumberField(forms.IntegerField):
    """A whole number in ASCII digits; its limits are told together, as `PlainNumberField` does."""

    def to_python(self, value: Any) -> int | None:
        """The number; None for an empty field. Raises ValidationError for what is none."""
        if value is None or (isinstance(value, str) and not value.strip(BLANKS)):
            return None
        try:
            return read_whole(value)
        except ValueError as error:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from error


class PlainFloatField(forms.FloatField):
    """A number as people write it, for a column of floats."""

    def to_python(self, value: Any) -> float | None:  # type: ignore[override]  # a float's own
        """The number; None for an empty field. Raises ValidationError for what is none."""
        if value is None or (isinstance(value, str) and not value.strip(BLANKS)):
            return None
        try:
            return read_float(value)
        except ValueError as error:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from error


class DayField(forms.DateField):
    """A day, its numbers in ASCII digits."""

    def to_python(self, value: Any) -> date | None:
        """The day; None for an empty field. Raises ValidationError for what is none."""
        if isinstance(value, str) and not value.isascii():
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


def not_a_number(text: str) -> str:
    """The sentence for a text that is none."""
    return _("“%(text)s” is not a number. Write it like 12.5.") % {"text": text[:40]}


def too_fine(places: int) -> str:
    """The sentence for a number with more decimals than `places`."""
    return _("Enter at most %(places)d decimals.") % {"places": places}
