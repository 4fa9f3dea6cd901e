"""The moments at which the days of the studio's time zone begin and end."""

from datetime import date, datetime, time, timedelta

from django.utils import timezone


def start_of(day: date) -> datetime:
    """The first moment of the day."""
    return timezone.make_aware(datetime.combine(day, time.min))


def end_of(day: date) -> datetime:
    """The first moment that is no longer part of the day. Raises OverflowError for the last day
    that Python knows."""
    return start_of(day + timedelta(days=1))
