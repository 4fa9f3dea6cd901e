"""Lines of CSV that a spreadsheet can open without harm.

A file begins with `BOM`: without it spreadsheets read UTF-8 as the machine's old code page, and a
prompt in Korean becomes noise. Programs read it with the encoding "utf-8-sig".
"""

import csv
import io
from collections.abc import Iterable

BOM = "\ufeff"
# What spreadsheets take for the beginning of a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def safe_text(text: str) -> str:
    """Text from people as a cell that no spreadsheet computes: an apostrophe stands before what
    would begin a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text


def csv_line(cells: Iterable[object]) -> str:
    """One line with its end, quoted if it has to be; text from people goes through
    `safe_text` first."""
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
