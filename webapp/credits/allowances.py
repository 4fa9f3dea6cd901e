"""The monthly allowance of a group: given once per person and month, whoever asks how often.

`add` gives the group's amount. `fill` gives what is missing up to it, at the first run of the
month that finds less, open holds included; a person who has as much or more is looked at again at
the next run, and the month is used up only when something was given.

What keeps it once a month is the key of the posting, `monthly:<user>:<yyyy-mm>`: a second run, a
run beside this one, another group or another amount find it taken. Under another account the
mailbox gets nothing either. A month in which nothing ran
at all is not made up for. The month is that of the database's clock in the studio's time zone;
should the clock go back, nobody gets a month before they, or their group, were there.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from webapp.accounts.models import User, UserGroup
from webapp.credits import ledger
from webapp.credits.ledger.posting import lock_accounts_of
from webapp.credits.models import Account, Transaction

# As many accounts are locked at once: a spender waits no longer than these take.
PEOPLE_AT_ONCE = 500


def give_allowances(*, now: datetime | None = None) -> int:
    """Gives this month's allowance to everybody who is active, in a group that has one, and did
    not get it yet. Returns how many got something now. `now` stands in for the database's clock.
    """
    month_start = _month_start(now or _database_now())
    ids = _list_members(before=_next_month(month_start))
    month = f"{month_start:%Y-%m}"
    chunks = (ids[at : at + PEOPLE_AT_ONCE] for at in range(0, len(ids), PEOPLE_AT_ONCE))
    return sum(_give(chunk, month) for chunk in chunks)


def _give(user_ids: list[int], month: str) -> int:
    keys = {user_id: f"monthly:{user_id}:{month}" for user_id in user_ids}
    given = Transaction.objects.filter(idempotency_key__in=keys.values())
    taken = set(given.values_list("idempotency_key", flat=True))
    due = [user_id for user_id, key in keys.items() if key not in taken]
    if not due:
        return 0
    with transaction.atomic():
        # Locked before the balances are read: nothing is spent or topped up in between.
        accounts = lock_accounts_of(due)
        lines = [
            (user.pk, amount_ucr, keys[user.pk])
            for user in _members().filter(pk__in=accounts).select_related("group")
            if (amount_ucr := _amount_ucr(user.group, accounts[user.pk])) > 0
        ]
        return _post(lines, month) if lines else 0


def _post(lines: list[tuple[int, int, str]], month: str) -> int:
    kind = Transaction.Kind.ALLOWANCE
    return ledger.post_grants(kind=kind, lines=lines, what=f"monthly:{month}")


def _amount_ucr(group: UserGroup | None, account: Account) -> int:
    """What the person gets: nothing (0 or less) if `fill` finds as much already."""
    assert group is not None  # noqa: S101 - `_members` has nobody without a group
    if group.allowance == UserGroup.Allowance.ADD:
        return group.allowance_ucr
    # With what open holds set aside: it comes back if the images are cancelled.
    return group.allowance_ucr - account.posted_ucr


def _members() -> QuerySet[User]:
    groups = UserGroup.objects.exclude(allowance=UserGroup.Allowance.NONE)
    return User.objects.filter(is_active=True, group__in=groups)


def _list_members(*, before: datetime) -> list[int]:
    there = _members().filter(date_joined__lt=before, group__created_at__lt=before)
    return list(there.order_by("pk").values_list("pk", flat=True))


def _database_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        (now,) = cursor.fetchone()
    assert isinstance(now, datetime)  # noqa: S101 - what PostgreSQL answers
    return now


def _month_start(now: datetime) -> datetime:
    local = now.astimezone(ZoneInfo(settings.TIME_ZONE))
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _next_month(month_start: datetime) -> datetime:
    return (month_start + timedelta(days=31)).replace(day=1)
