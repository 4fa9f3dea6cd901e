"""Locking accounts, and the one statement that posts lines to them."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core.errors import NotEnoughCredits, NotFound
from webapp.core.units import format_credits
from webapp.credits.models import Account, Transaction

# `written` skips the keys that are taken; only what it wrote is posted. The time is that of the
# statement, so that times and ids agree on an account whose lock was waited for before it. A
# repair writes the line that a balance lacks: the balance itself has moved long before.
POST_SQL = """
WITH asked AS (
    SELECT * FROM unnest(
        %(accounts)s::bigint[], %(amounts)s::bigint[], %(kinds)s::text[], %(against)s::text[],
        %(keys)s::text[], %(images)s::uuid[], %(reverses)s::bigint[], %(reasons)s::text[]
    ) AS line(account_id, amount_ucr, kind, against, key, image_id, reverses_id, reason)
), written AS (
    INSERT INTO credits_transaction (
        kind, actor_id, actor_name, reason, note, batch_id, reverses_id, idempotency_key, created_at
    )
    SELECT kind, %(actor)s::bigint, %(actor_name)s, reason, %(note)s, %(batch)s::uuid,
        reverses_id, key, statement_timestamp()
    FROM asked ORDER BY key
    ON CONFLICT (idempotency_key) DO NOTHING
    RETURNING id, idempotency_key
), posted AS (
    SELECT written.id, asked.*
    FROM written JOIN asked ON asked.key = written.idempotency_key
), booked AS (
    UPDATE credits_account SET posted_ucr = posted_ucr + moved.total_ucr
    FROM (
        SELECT account_id,
            COALESCE(SUM(amount_ucr) FILTER (WHERE kind <> 'repair'), 0)::bigint AS total_ucr
        FROM posted GROUP BY account_id
    ) AS moved
    WHERE credits_account.id = moved.account_id
    RETURNING credits_account.id, credits_account.posted_ucr
), balanced AS (
    SELECT posted.*, booked.posted_ucr - COALESCE(SUM(amount_ucr) OVER (
        PARTITION BY account_id ORDER BY posted.id
        ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
    ), 0) AS balance_ucr
    FROM posted JOIN booked ON booked.id = posted.account_id
), lines AS (
    INSERT INTO credits_entry (
        transaction_id, account_id, amount_ucr, balance_after_ucr, image_id
    )
    SELECT balanced.id, CASE side WHEN 1 THEN balanced.account_id ELSE system.id END,
        side * amount_ucr, CASE side WHEN 1 THEN balance_ucr END, image_id
    FROM balanced
    JOIN credits_account AS system ON system.kind = balanced.against
    CROSS JOIN (VALUES (1), (-1)) AS sides(side)
    ORDER BY balanced.id, side DESC
)
SELECT key, id FROM posted
"""


@dataclass(frozen=True, slots=True)
class Posting:
    """One transaction to post: `amount_ucr` onto the account, its negative onto `against`.

    A `reason` of its own stands in place of the one that `post` is given.
    """

    account_id: int
    amount_ucr: int
    kind: Transaction.Kind
    against: Account.Kind
    key: str
    image_id: uuid.UUID | None = None
    reverses_id: int | None = None
    reason: str = ""


def post(
    postings: Sequence[Posting],
    *,
    actor: User | None = None,
    by: str = "",
    reason: str = "",
    note: str = "",
    batch_id: uuid.UUID | None = None,
) -> dict[str, int]:
    """Posts one transaction for each posting; returns those posted now, `key -> id`. `by` says
    what posts if nobody does.

    A key that was posted before is skipped. The caller is in a transaction, holds the locks of
    all the accounts, and made sure that each balance covers what is taken.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            POST_SQL,
            {
                "accounts": [one.account_id for one in postings],
                "amounts": [one.amount_ucr for one in postings],
                "kinds": [one.kind.value for one in postings],
                "against": [one.against.value for one in postings],
                "keys": [one.key for one in postings],
                "images": [one.image_id for one in postings],
                "reverses": [one.reverses_id for one in postings],
                "reasons": [one.reason or reason for one in postings],
                "actor": actor.pk if actor else None,
                "actor_name": actor.email if actor else by,
                "note": note,
                "batch": batch_id,
            },
        )
        return dict(cursor.fetchall())


def lock_account(*, user: User) -> Account:
    """The user's account, locked until the transaction ends. Raises NotFound if it is closed."""
    account = Account.objects.select_for_update().filter(user=user).first()
    if account is None:
        raise closed()
    return account


def lock_accounts_of(user_ids: Iterable[int]) -> dict[int, Account]:
    """`user id -> account`, locked in the order of their ids; users without one are left out."""
    accounts = Account.objects.select_for_update().filter(user_id__in=list(user_ids)).order_by("pk")
    return {account.user_id: account for account in accounts if account.user_id is not None}


def closed() -> NotFound:
    """The error of a user whose account was closed."""
    return NotFound(_("This account is closed."))


def not_enough(*, available_ucr: int, needed_ucr: int) -> NotEnoughCredits:
    """The error that says what is needed and what there is."""
    sentence = _("This needs %(needed)s credits; %(available)s are available.") % {
        "needed": format_credits(needed_ucr),
        "available": format_credits(available_ucr),
    }
    return NotEnoughCredits(sentence, needed_ucr=needed_ucr, available_ucr=available_ucr)
