"""What a group allows its members: so many credits a day, so many images at once."""

from dataclasses import dataclass

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core.errors import TooMany
from webapp.core.units import format_credits
from webapp.credits.models import Account

# One statement, so that both counts are of the same instant: an image that is claimed meanwhile
# is counted once, as waiting or as being generated. What was refunded is not spent.
USE_SQL = """
SELECT mine.daily_spend_ucr, mine.images_at_once,
    (SELECT COALESCE(SUM(hold.amount_ucr), 0) FROM credits_hold hold
        JOIN credits_account account ON account.id = hold.account_id
        WHERE account.user_id = %(user)s AND hold.created_at
                >= date_trunc('day', now() AT TIME ZONE %(zone)s) AT TIME ZONE %(zone)s
            AND hold.state IN ('held', 'captured')
            AND NOT EXISTS (SELECT 1 FROM credits_entry refund
                WHERE refund.image_id = hold.image_id AND refund.kind = 'refund'))::bigint,
    (SELECT COUNT(*) FROM generation_image WHERE owner_id = %(user)s AND state = 'queued')
    + (SELECT COUNT(*) FROM generation_image WHERE owner_id = %(user)s AND state = 'running')
FROM accounts_usergroup mine WHERE mine.id = %(group)s
"""


@dataclass(frozen=True, slots=True)
class Use:
    """A group's limits (None: no limit), and what a member has used of them."""

    daily_spend_ucr: int | None
    images_at_once: int | None
    spent_ucr: int
    live: int


def check_group_limits(*, owner: User, images: int, each_ucr: int) -> None:
    """None if the images that were just written and held are within the limits of the owner's
    group; raises TooMany, for the caller's transaction to be rolled back.

    Call it after the hold and before the queue share: the account's row is locked since the hold,
    so that of two submissions at once the second sees what the first one took. Free images hold
    nothing: then the row is locked here.
    """
    if owner.group_id is None:
        return
    if not each_ucr:
        Account.objects.select_for_update().filter(user=owner).first()
    use = _read_use(owner, owner.group_id)
    if use is not None:
        _check_day(use, added_ucr=images * each_ucr)
        _check_at_once(use, added=images)


def _check_day(use: Use, *, added_ucr: int) -> None:
    if use.daily_spend_ucr is None or not added_ucr or use.spent_ucr <= use.daily_spend_ucr:
        return
    sentence = _(
        "Your group may spend %(most)s credits a day. %(used)s are spent or held today, and "
        "this needs %(needed)s. The limit resets at midnight, %(zone)s."
    )
    facts = {
        "most": format_credits(use.daily_spend_ucr),
        "used": format_credits(use.spent_ucr - added_ucr),
        "needed": format_credits(added_ucr),
        "zone": timezone.get_current_timezone_name(),
    }
    raise TooMany(sentence % facts)


def _check_at_once(use: Use, *, added: int) -> None:
    if use.images_at_once is None or use.live <= use.images_at_once:
        return
    sentence = _(
        "Your group may have %(most)d unfinished images at once. There are %(live)d, and this "
        "asks for %(added)d more. Wait for some to finish."
    )
    facts = {"most": use.images_at_once, "live": use.live - added, "added": added}
    raise TooMany(sentence % facts)


def _read_use(owner: User, group_id: int) -> Use | None:
    """None if the group was deleted meanwhile."""
    zone = timezone.get_current_timezone_name()
    with connection.cursor() as cursor:
        cursor.execute(USE_SQL, {"user": owner.pk, "group": group_id, "zone": zone})
        row = cursor.fetchone()
    return Use(*row) if row else None
