"""Numbers in forms: what is wrong with one is told in one sentence."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from webapp.core.numbers import PlainNumberField


@pytest.mark.parametrize(
    ("typed", "number"),
    [("12.5", "12.5"), (" 7 ", "7"), ("-0.25", "-0.25"), ("+3.", "3"), (".5", "0.5")],
)
def test_a_number_is_read_as_people_write_it(typed: str, number: str) -> None:
    assert PlainNumberField(decimal_places=2).clean(typed) == Decimal(number)


@pytest.mark.parametrize(
    "typed", ["many", "1e3", "1,5", "NaN", "Infinity", "--1", ".", "0x10", "٣"]
)
def test_what_is_no_number_is_quoted(typed: str) -> None:
    assert told(typed) == [f"“{typed}” is not a number. Write it like 12.5."]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("0.001", "Enter at most 2 decimals."),
        ("1" + "0" * 12, "This number is too large."),
        ("1" + "0" * 12 + ".001", "Enter at most 2 decimals."),
    ],
)
def test_what_no_column_holds_is_told_in_one_sentence(typed: str, sentence: str) -> None:
    assert told(typed) == [sentence]
    assert told("-" + typed) == [sentence]


def test_limits_are_told_together() -> None:
    assert told("100.01", min_value=0, max_value=100) == ["Enter a number from 0 to 100."]
    assert told("-1", min_value=0, max_value=100) == ["Enter a number from 0 to 100."]
    assert told("-1", min_value=0) == ["Enter at least 0."]
    assert PlainNumberField(decimal_places=2, min_value=0, max_value=100).clean("100") == 100


def test_an_empty_field_is_missing_only_where_it_is_needed() -> None:
    assert told(" ") == ["This field is required."]
    assert PlainNumberField(decimal_places=2, required=False).clean("") is None


def told(typed: str, *, min_value: int | None = None, max_value: int | None = None) -> list[str]:
    """The sentences that a typed number is answered with."""
    field = PlainNumberField(decimal_places=2, min_value=min_value, max_value=max_value)
    with pytest.raises(ValidationError) as refused:
        field.clean(typed)
    return refused.value.messages
