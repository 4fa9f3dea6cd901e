"""Lines of CSV: quoted as they must be, and never a formula."""

import csv

import pytest

from webapp.core.csv_lines import csv_line, safe_text


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "－1"],  # noqa: RUF001
)
def test_what_would_be_a_formula_becomes_text(text: str) -> None:
    assert safe_text(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a fox", "1-1", "a = b", "여우", "'quoted"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert safe_text(text) == text


def test_a_line_is_read_back_as_it_was_written() -> None:
    cells = ["a, b", 'say "cheese"', "two\nlines", "", "1.50"]
    assert next(csv.reader([csv_line(cells)])) == cells
    assert csv_line(["a", "b"]) == "a,b\r\n"
