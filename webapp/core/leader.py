"""Of several processes that do the same, one leads: whoever holds the lease of that name.

A row with an end by the database's clock, not an advisory lock: PgBouncer in transaction mode would
hand a session's lock to anybody, and the lock of a host that was cut off would stand for as long as
TCP waits for it.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from webapp.core.models import Leadership


def lead(*, name: str, holder: str, for_s: float) -> bool:
    """True if `holder` leads from now on, for so many seconds; False if somebody else does. Raises
    the database's errors."""
    until = Now() + timedelta(seconds=for_s)
    row = Leadership.objects.filter(name=name)
    if row.filter(Q(holder=holder) | Q(until__lt=Now())).update(holder=holder, until=until):
        return True
    first = Leadership(name=name, holder=holder, until=until)
    with transaction.atomic():
        Leadership.objects.bulk_create([first], ignore_conflicts=True)
    return row.filter(holder=holder).exists()


def stop_leading(*, name: str, holder: str) -> None:
    """Leaves the lead to whoever asks next; nothing happens if it is somebody else's. Raises the
    database's errors."""
    Leadership.objects.filter(name=name, holder=holder).update(until=Now())
