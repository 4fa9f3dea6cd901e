"""Days begin and end at midnight of the studio's time zone, also if they have 23 or 25 hours."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from webapp.core.days import end_of, start_of


def test_a_day_begins_at_midnight_of_the_studios_time_zone() -> None:
    with timezone.override("Asia/Seoul"):
        assert start_of(date(2026, 1, 31)) == datetime(2026, 1, 30, 15, tzinfo=UTC)
        assert end_of(date(2026, 1, 31)) == datetime(2026, 1, 31, 15, tzinfo=UTC)


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_a_day_is_as_long_as_the_clocks_make_it(day: date, hours: int) -> None:
    with timezone.override("Europe/Berlin"):
        began, ended = start_of(day), end_of(day)
    assert ended.astimezone(UTC) - began.astimezone(UTC) == timedelta(hours=hours)
