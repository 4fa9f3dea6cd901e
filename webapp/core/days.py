"""The days that people write, and the moments at which those of the studio's time zone begin and
end.
"""

from datetime import date, datetime, time, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.core.digits import read_day
from webapp.core.errors import InvalidInput

# Far from both ends of what Python knows, so that every day begins and ends at a moment.
YEARS = range(1970, 9000)


def read_optional_day(text: str, *, field: str) -> date | None:
    """The day of a text like 2026-01-31, None for "". Raises InvalidInput for anything else."""
    if not text:
        return None
    try:
        day = read_day(text)
    except ValueError:
        day = date.min
    if day.year not in YEARS:
        sentence = _("Write a day as year-month-day, such as 2026-01-31.")
        raise InvalidInput(sentence, field=field)
    return day


def check_order(*, since: date | None, until: date | None) -> None:
    """Raises InvalidInput (`since`) if both days are named and the first comes after the last."""
    if since and until and since > until:
        sentence = _("The first day is after the last day. Choose an earlier first day.")
        raise InvalidInput(sentence, field="since")


def start_of(day: date) -> datetime:
    """The first moment of the day."""
    return timezone.make_aware(datetime.combine(day, time.min))


def end_of(day: date) -> datetime:
    """The first moment that is no longer part of the day. Raises OverflowError for the last day
    that Python knows."""
    return start_of(day + timedelta(days=1))
