"""Numbers have one reader: what it takes, what it does not, and that no door has another one."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory

from webapp import env
from webapp.core.digits import (
    read_day,
    read_decimal,
    read_float,
    read_moment,
    read_whole,
    whole_argument,
)
from webapp.core.numbers import DayField, PlainFloatField, WholeNumberField

WEBAPP = Path(env.__file__).parent
ODD = ["1_0", "٣", "１", "1e1", "", "-", "nan", "inf", "0x1", "\u00a01", "1\u3000", "1\x00", "1 0"]  # noqa: RUF001


@pytest.mark.parametrize("text", [*ODD, "1.0"])
def test_a_whole_number_in_odd_dress_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        read_whole(text)
    with pytest.raises(forms.ValidationError):
        WholeNumberField().clean(text)


@pytest.mark.parametrize("text", [*ODD, "1,5", "Infinity", "."])
def test_a_number_in_odd_dress_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        read_decimal(text)
    with pytest.raises(forms.ValidationError):
        PlainFloatField().clean(text)


@pytest.mark.parametrize("value", [True, None, 1.0, b"1", [1]])
def test_what_json_brings_that_is_no_whole_number_is_none(value: object) -> None:
    with pytest.raises(ValueError, match="number"):
        read_whole(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), True, None])
def test_what_json_brings_that_is_no_number_is_none(value: object) -> None:
    with pytest.raises(ValueError, match="number"):
        read_float(value)


def test_a_number_is_read_as_it_is_written() -> None:
    assert [read_whole(text) for text in ("10", " 7\t", "-3", "+4", 12)] == [10, 7, -3, 4, 12]
    assert [str(read_decimal(one)) for one in ("7.50", ".5", 2, 0.1)] == ["7.50", "0.5", "2", "0.1"]
    assert read_float("7.5") == 7.5


@pytest.mark.parametrize("text", ["2026-01-٣1", "20260131", "2026-W05-6", "2026-1-3", ""])
def test_a_day_is_written_in_one_way(text: str) -> None:
    with pytest.raises(ValueError, match=r"day|range"):
        read_day(text)


def test_a_day_field_takes_no_other_digits() -> None:
    with pytest.raises(forms.ValidationError):
        DayField().clean("2026-01-٣1")
    assert str(DayField().clean("2026-01-31")) == "2026-01-31"


@pytest.mark.parametrize("text", ["2026-01-31T10:00:00", "٢026-01-31T10:00:00+00:00", ""])
def test_a_moment_has_a_time_zone_and_plain_digits(text: str) -> None:
    with pytest.raises(ValueError, match=r"moment|Invalid"):
        read_moment(text)


@pytest.mark.parametrize("text", ["1_0", "٣"])
def test_settings_and_commands_read_the_same_way(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_TRIAL", text)
    with pytest.raises(ImproperlyConfigured, match="DARKROOM_TRIAL"):
        env.integer("DARKROOM_TRIAL", 0, minimum=0, maximum=99)
    with pytest.raises(ImproperlyConfigured, match="DARKROOM_TRIAL"):
        env.decimal("DARKROOM_TRIAL", "0", minimum=Decimal(0), maximum=Decimal(99))
    with pytest.raises(Exception, match="no whole number"):
        whole_argument(text)


def test_no_form_uses_djangos_own_fields_for_numbers() -> None:
    """Nor does a command or a setting use Python's own `int` for what somebody typed."""
    wrong = re.compile(r"forms\.(Integer|Float|Decimal|Date)Field\(|type=(int|float)\b")
    found = [
        f"{path.relative_to(WEBAPP)}: {line.strip()}"
        for path in WEBAPP.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if wrong.search(line) and path.name != "numbers.py"
    ]
    assert found == []


@pytest.mark.django_db
def test_the_forms_of_the_admin_site_read_numbers_so_too(charlie: Any, rf: RequestFactory) -> None:
    request = rf.get("/")
    request.user = charlie
    found = [
        f"{page.opts.label}.{name}"
        for page in admin.site._registry.values()
        for name, field in page.get_form(request, page.model(), change=True).base_fields.items()
        if type(field) in {forms.IntegerField, forms.FloatField, forms.DecimalField}
    ]
    assert found == []
