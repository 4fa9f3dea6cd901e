"""Reading the CSV of a batch of top-ups: strictly, with a sentence for whatever is wrong."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

from webapp.core.csv_lines import BOM, csv_line
from webapp.core.digits import read_decimal
from webapp.core.errors import InvalidInput
from webapp.core.numbers import not_a_number
from webapp.core.texts import too_long
from webapp.core.units import CREDIT_PLACES, to_ucr
from webapp.credits.ledger import MAX_REASON_LENGTH
from webapp.credits.ledger.by_hand import tell_amount

MAX_BYTES = 2 * 1024 * 1024
MAX_LINES = 20_000
NEEDED = ("email", "amount")
COLUMNS = (*NEEDED, "reason")
DELIMITERS = (";", "\t", ",")
MAX_WHOLE_DIGITS = 15


@dataclass(frozen=True, slots=True)
class FileLine:
    """One line of the file; `problem` says what is wrong with the line itself, "" if nothing."""

    number: int
    email: str
    amount_ucr: int
    reason: str = ""
    problem: str = ""


def read_batch_file(data: bytes) -> list[FileLine]:
    """The lines of the file, those with a problem too; empty lines are passed over.

    Raises InvalidInput for a file that can't be read at all: too large, not UTF-8, no header, no
    line, too many lines, broken quotes.
    """
    text = _decode(data)
    header_line = text.partition("\n")[0]
    delimiter = next((one for one in DELIMITERS if one in header_line), ",")
    records = _read_records(text, delimiter)
    header = [name.strip().lower() for name in next(records, (0, []))[1]]
    _check_header(header)
    lines: list[FileLine] = []
    for number, cells in records:
        if len(lines) == MAX_LINES:
            raise _wrong(_("The file has more than %(most)d lines.") % {"most": MAX_LINES})
        lines.append(_read_line(number, header, cells))
    if not lines:
        raise _wrong(_("The file has no line below its header."))
    return lines


def read_amount(text: str) -> tuple[int, str]:
    """`(micro-credits, "")`, or `(0, what is wrong with the text)`."""
    if not text:
        return 0, _("The amount is missing.")
    try:
        amount = read_decimal(text)
    except ValueError:
        return 0, not_a_number(text)
    if abs(amount) >= 10**MAX_WHOLE_DIGITS:
        return 0, not_a_number(text)
    if len(text.partition(".")[2]) > CREDIT_PLACES:
        return 0, _("An amount has at most six decimals.")
    amount_ucr = to_ucr(amount)
    problem = tell_amount(amount_ucr)
    return (0, problem) if problem else (amount_ucr, "")


def template_file() -> bytes:
    """A file to fill in, with an example line."""
    example = ("somebody@example.org", "12.5", _("a prize"))
    return (BOM + csv_line(COLUMNS) + csv_line(example)).encode()


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _wrong(_("The file is larger than 2 MB."))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        sentence = _("Line %(number)d is not UTF-8: save the file as “CSV UTF-8”.")
        raise _wrong(sentence % {"number": number}) from error
    if "\0" in text:
        raise _wrong(_("This is not a text file: save it as “CSV UTF-8”."))
    if not text.strip():
        raise _wrong(_("The file is empty."))
    return text


def _read_records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """`(number of its first line, its cells)` of every record that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            sentence = _("Line %(number)d can't be read. Check its quotation marks.")
            raise _wrong(sentence % {"number": number}) from error
        if any(cell.strip() for cell in cells):
            yield number, cells


def _check_header(header: list[str]) -> None:
    for name in NEEDED:
        if name not in header:
            sentence = _("The first line names the columns; “%(name)s” is missing.")
            raise _wrong(sentence % {"name": name})
    for name in header:
        if name not in COLUMNS or header.count(name) > 1:
            sentence = _(
                "“%(name)s” is not allowed here: the columns are email, amount and "
                "reason, each once."
            )
            raise _wrong(sentence % {"name": name[:40]})


def _read_line(number: int, header: list[str], cells: list[str]) -> FileLine:
    values = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
    email, reason = values.get("email", ""), values.get("reason", "")
    amount_ucr, problem = read_amount(values.get("amount", ""))
    if len(cells) > len(header):
        problem = _("This line has more cells than the first.")
    elif not email:
        problem = _("The e-mail address is missing.")
    elif not problem and len(reason) > MAX_REASON_LENGTH:
        problem = too_long("reason", most=MAX_REASON_LENGTH)
    return FileLine(number, email, amount_ucr, reason, problem)


def _wrong(sentence: str) -> InvalidInput:
    return InvalidInput(sentence, field="file")
