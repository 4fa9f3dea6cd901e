"""People, ledger and images by the hundred thousand, made by a handful of SQL statements.

For the bench, and for tests that count queries. The ledger agrees with itself (every balance
is the sum of its entries, every transaction sums to zero): `check_bulk` says so. Transactions and
entries get their ids here, so those two tables have to be empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, models, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from webapp.accounts.models import User
from webapp.credits.models import Account, Entry, Hold, MailboxGrant, Transaction
from webapp.generation.models import Generation, Image

PRICE_UCR = 200_000

# The triggers that look at each row on its own, and the foreign keys, take minutes for millions
# of rows. They are off for whoever asks for it here, and nowhere else.
WITHOUT_TRIGGERS = "SET LOCAL session_replication_role = replica"

# `k` counts the lines of one person. Person 1 has every tenth line, or all of them if there is
# nobody else.
LINES = """
CREATE TEMPORARY TABLE bulk_line ON COMMIT DROP AS
WITH spread AS (
    SELECT n, CASE WHEN n %% %(share)s = 0 THEN 1
                   ELSE 2 + n %% GREATEST(%(people)s - 1, 1) END AS person
    FROM generate_series(1, %(lines)s) AS n
), counted AS (
    SELECT n, person, row_number() OVER (PARTITION BY person ORDER BY n) AS k FROM spread
), kinds AS (
    SELECT *, CASE WHEN k = 1 THEN 'grant' WHEN k %% 500 = 1 THEN 'top_up'
                   WHEN k %% 500 = 2 THEN 'code' WHEN k %% 500 = 3 THEN 'allowance'
                   WHEN k %% 500 = 50 THEN 'refund' ELSE 'capture' END AS kind
    FROM counted
), amounts AS (
    SELECT *, CASE kind WHEN 'capture' THEN -%(price)s WHEN 'refund' THEN %(price)s
                        WHEN 'code' THEN 5000000 WHEN 'allowance' THEN 10000000
                        ELSE 200000000 END::bigint AS amount
    FROM kinds
)
SELECT *, SUM(amount) OVER (PARTITION BY person ORDER BY n)::bigint AS balance,
       CASE WHEN kind = 'capture' THEN md5('image ' || person || ' ' || k)::uuid
            WHEN kind = 'refund' THEN md5('image ' || person || ' ' || (k - 1))::uuid
       END AS image_id,
       %(start)s + n * %(apart)s AS at
FROM amounts
"""

PEOPLE = {
    "id": "%(user)s + n",
    "password": "'!'",
    "public_id": "md5('person ' || n)::uuid",
    "email": "'person' || n || '@example.org'",
    "mailbox": "'person' || n || '@example.org'",
    "date_joined": "now() - n * interval '1 minute'",
}
ACCOUNTS = {
    "id": "%(account)s + n",
    "kind": "'user'",
    "user_id": "%(user)s + n",
    "pseudonym": "md5('account ' || n)::uuid",
    "created_at": "%(start)s",
}
TRANSACTIONS = {
    "id": "n",
    "kind": "kind",
    "actor_name": "CASE WHEN kind IN ('top_up', 'refund') THEN 'charlie@example.org' ELSE '' END",
    "reason": "CASE kind WHEN 'top_up' THEN 'a prize' WHEN 'refund' THEN 'a smudge' ELSE '' END",
    "idempotency_key": "'bulk:' || n",
    "created_at": "at",
}
ENTRIES = {
    "id": "2 * n - 1",
    "transaction_id": "n",
    "account_id": "%(account)s + person",
    "amount_ucr": "amount",
    "balance_after_ucr": "balance",
    "image_id": "image_id",
    "kind": "kind",
    "at": "at",
}
COUNTER_ENTRIES = {
    **ENTRIES,
    "id": "2 * n",
    "account_id": "CASE WHEN kind IN ('capture', 'refund') THEN %(revenue)s"
    " WHEN kind = 'top_up' THEN %(adjustments)s ELSE %(grants)s END",
    "amount_ucr": "-amount",
    "balance_after_ucr": "NULL",
}
CAPTURED_HOLDS = {
    "image_id": "image_id",
    "account_id": "%(account)s + person",
    "amount_ucr": "%(price)s",
    "state": "'captured'",
    "created_at": "at - interval '5 seconds'",
    "resolved_at": "at",
}
# What person 1 was not charged for, spread over the same time.
RELEASED_HOLDS = {
    "image_id": "md5('released ' || n)::uuid",
    "account_id": "%(account)s + 1",
    "amount_ucr": "%(price)s",
    "state": "'released'",
    "created_at": "%(start)s + n * %(released_apart)s",
    "resolved_at": "%(start)s + n * %(released_apart)s + interval '1 second'",
}
GENERATIONS = {
    "id": "hold.image_id",
    "owner_id": "%(user)s + 1",
    "model_id": "%(model)s",
    "prompt": "'a fox at dusk, number ' || hold.id",
    "width_px": "64",
    "height_px": "64",
    "steps": "4",
    "guidance_scale": "5",
    "sampler": "'ddim'",
    "seed": "7",
    "price_each_ucr": "%(price)s",
    "idempotency_key": "hold.id::text",
    "spec_hash": "'bulk'",
    "created_at": "hold.created_at",
}
IMAGES = {
    "id": "hold.image_id",
    "generation_id": "hold.image_id",
    "owner_id": "%(user)s + 1",
    "model_id": "%(model)s",
    "index": "0",
    "seed": "7",
    "cost": "16384",
    "state": "CASE hold.state WHEN 'captured' THEN 'stored' ELSE 'failed' END",
    "attempt": "1",
    "worker": "'worker-1'",
    "file": "CASE hold.state WHEN 'captured' THEN hold.id || '.png' ELSE '' END",
    "thumbnail": "CASE hold.state WHEN 'captured' THEN hold.id || '.webp' ELSE '' END",
    "sha256": "CASE hold.state WHEN 'captured' THEN md5(hold.id::text) ELSE '' END",
    "failure": "CASE hold.state WHEN 'captured' THEN '' ELSE 'Out of memory.' END",
    "created_at": "hold.created_at",
    "started_at": "hold.created_at",
    "finished_at": "hold.resolved_at",
}
MAILBOX_GRANTS = {
    "mailbox": "'unknown:' || n",
    "what": "kind",
    "transaction_id": "n",
}
GIVEN = "bulk_line WHERE kind IN ('grant', 'code', 'allowance')"
PERSON = "generate_series(1, %(people)s) AS n"
CHARGED = "bulk_line WHERE kind = 'capture'"
HOLDS_OF_PERSON_1 = "credits_hold hold WHERE hold.account_id = %(account)s + 1"

BALANCES = """
UPDATE credits_account SET posted_ucr = sums.total
FROM (SELECT person, SUM(amount) AS total FROM bulk_line GROUP BY person) AS sums
WHERE credits_account.id = %(account)s + sums.person
"""
PEOPLE_SEQUENCES = """
SELECT setval(pg_get_serial_sequence('accounts_user', 'id'), %(user)s + %(people)s),
    setval(pg_get_serial_sequence('credits_account', 'id'), %(account)s + %(people)s)
"""
SEQUENCES = """
SELECT setval(pg_get_serial_sequence('credits_transaction', 'id'), %(lines)s),
    setval(pg_get_serial_sequence('credits_entry', 'id'), 2 * %(lines)s)
"""
VIOLATIONS = """
SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM credits_entry GROUP BY transaction_id
                              HAVING SUM(amount_ucr) <> 0 OR COUNT(*) < 2) AS unequal)
     + (SELECT COUNT(*) FROM credits_account account
        JOIN (SELECT account_id, SUM(amount_ucr) AS total FROM credits_entry GROUP BY account_id)
            AS sums ON sums.account_id = account.id
        WHERE account.kind = 'user' AND account.posted_ucr <> sums.total)
"""


@dataclass(frozen=True, slots=True)
class Bulk:
    """How much to make, over so many days: person 1 has one line in `share`, and all `released`
    holds."""

    people: int
    lines: int
    released: int
    share: int = 10
    days: int = 300


def make_bulk(bulk: Bulk, *, model_id: int, triggers: bool = True) -> User:
    """Person 1, whose statement is long. Everything is one commit."""
    with transaction.atomic(), connection.cursor() as cursor:
        if not triggers:
            cursor.execute(WITHOUT_TRIGGERS)
        facts = {**_sizes(bulk), **_ids(cursor), "model": model_id}
        _insert(cursor, User, PEOPLE, PERSON, facts)
        _insert(cursor, Account, ACCOUNTS, PERSON, facts)
        cursor.execute(LINES, facts)
        _insert(cursor, Transaction, TRANSACTIONS, "bulk_line", facts)
        _insert(cursor, MailboxGrant, MAILBOX_GRANTS, GIVEN, facts)
        _insert(cursor, Entry, ENTRIES, "bulk_line", facts)
        _insert(cursor, Entry, COUNTER_ENTRIES, "bulk_line", facts)
        cursor.execute(BALANCES, facts)
        _insert(cursor, Hold, CAPTURED_HOLDS, CHARGED, facts)
        released = "generate_series(1, %(released)s) AS n"
        _insert(cursor, Hold, RELEASED_HOLDS, released, facts)
        _insert(cursor, Generation, GENERATIONS, HOLDS_OF_PERSON_1, facts)
        _insert(cursor, Image, IMAGES, HOLDS_OF_PERSON_1, facts)
        cursor.execute(PEOPLE_SEQUENCES, facts)
        cursor.execute(SEQUENCES, facts)
    return User.objects.get(email="person1@example.org")


def add_people(cursor: CursorWrapper, *, people: int) -> None:
    """person1, person2 and so on, until there are so many, with an account each and no lines. The
    caller has turned the triggers off."""
    cursor.execute("SELECT COUNT(*) FROM accounts_user WHERE email ~ '^person[0-9]+@'")
    (have,) = cursor.fetchone()
    last = _ids(cursor)
    facts = {
        "user": last["user"] - have,
        "account": last["account"] - have,
        "from": have + 1,
        "people": people,
        "start": timezone.now(),
    }
    new = "generate_series(%(from)s, %(people)s) AS n"
    _insert(cursor, User, PEOPLE, new, facts)
    _insert(cursor, Account, ACCOUNTS, new, facts)
    cursor.execute(PEOPLE_SEQUENCES, facts)


def check_bulk() -> None:
    """Raises AssertionError if the ledger that was made does not agree with itself."""
    with connection.cursor() as cursor:
        cursor.execute(VIOLATIONS)
        (violations,) = cursor.fetchone()
    if violations:
        raise AssertionError(f"{violations} accounts or transactions do not add up")


def _insert(
    cursor: CursorWrapper,
    model: type[models.Model],
    values: Mapping[str, str],
    source: str,
    facts: dict[str, Any],
) -> None:
    """One row of the model for each of the source; columns that are not named get the model's
    own default, so that a column which is added later needs no line here."""
    columns, chosen, defaults = list(values), list(values.values()), dict[str, Any]()
    for field in model._meta.concrete_fields:
        column = str(field.column)
        if column in values or field.null or field.primary_key or field.has_db_default():
            continue
        columns.append(column)
        chosen.append(f"%(default_{column})s")
        default = field.get_db_prep_save(field.get_default(), connection)
        defaults[f"default_{column}"] = default
    names = ", ".join(f'"{column}"' for column in columns)
    statement = f"INSERT INTO {model._meta.db_table} ({names}) SELECT {', '.join(chosen)}"
    cursor.execute(f"{statement} FROM {source}", {**facts, **defaults})


def _sizes(bulk: Bulk) -> dict[str, Any]:
    span = timedelta(days=bulk.days)
    return {
        "people": bulk.people,
        "lines": bulk.lines,
        "released": bulk.released,
        "share": bulk.share if bulk.people > 1 else 1,
        "price": PRICE_UCR,
        "start": timezone.now() - span,
        "apart": span / (bulk.lines + 1),
        "released_apart": span / (bulk.released + 2),
    }


def _ids(cursor: CursorWrapper) -> dict[str, Any]:
    """The last `user` and `account` that are there already, and the system's accounts."""
    cursor.execute("SELECT COALESCE(MAX(id), 0) FROM accounts_user")
    (user,) = cursor.fetchone()
    cursor.execute("SELECT kind, id FROM credits_account WHERE kind <> 'user'")
    system = dict(cursor.fetchall())
    cursor.execute("SELECT COALESCE(MAX(id), 0) FROM credits_account")
    (account,) = cursor.fetchone()
    return {**system, "user": user, "account": account}
