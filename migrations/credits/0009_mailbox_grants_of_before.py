"""Writes down what mailboxes were given before: for accounts that are there by their mailbox; for
those that are gone by the HMAC in the key of their welcome, which is the same. Of the others nobody
knows the mailbox any more."""

from django.db import migrations

from webapp.credits.ledger.mailbox_grants import digests_of

ROWS = 2000
KINDS = ("grant", "invitation", "code", "allowance")
GONE_SQL = """
SELECT e.account_id, split_part(t.idempotency_key, ':', 2)
FROM credits_transaction t JOIN credits_entry e ON e.transaction_id = t.id
JOIN credits_account a ON a.id = e.account_id
WHERE a.kind = 'user' AND a.user_id IS NULL AND t.idempotency_key LIKE 'welcome:%'
"""
GIVEN_SQL = """
SELECT t.id, t.kind, t.idempotency_key, a.id, a.user_id
FROM credits_transaction t JOIN credits_entry e ON e.transaction_id = t.id
JOIN credits_account a ON a.id = e.account_id
WHERE a.kind = 'user' AND t.kind = ANY(%s) AND t.id > %s ORDER BY t.id LIMIT %s
"""
UNKNOWN_SQL = """
INSERT INTO credits_mailboxgrant (mailbox, what, transaction_id)
SELECT 'unknown:' || t.id, t.kind, t.id
FROM credits_transaction t LEFT JOIN credits_mailboxgrant g ON g.transaction_id = t.id
WHERE t.kind = ANY(%s) AND g.id IS NULL
"""


def write_down(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(GONE_SQL)
        gone = dict(cursor.fetchall())
        last = 0
        while rows := _next_rows(cursor, last):
            _write(apps, rows, gone)
            last = rows[-1][0]
        cursor.execute(UNKNOWN_SQL, [list(KINDS)])


def _next_rows(cursor, after):
    cursor.execute(GIVEN_SQL, [list(KINDS), after, ROWS])
    return cursor.fetchall()


def _write(apps, rows, gone):
    User = apps.get_model("accounts", "User")
    MailboxGrant = apps.get_model("credits", "MailboxGrant")
    users = User.objects.in_bulk({row[4] for row in rows if row[4]})
    known = {pk: digests_of(user)[0] for pk, user in users.items()}
    grants = [
        MailboxGrant(mailbox=digest, what=_what(kind, key), transaction_id=pk)
        for pk, kind, key, account_id, user_id in rows
        if (digest := known.get(user_id) or gone.get(account_id))
    ]
    MailboxGrant.objects.bulk_create(grants, ignore_conflicts=True)


def _what(kind, key):
    """What the key says without whom: "code:12" of "code:12:7"."""
    parts = key.split(":")
    if kind == "grant":
        return "welcome"
    if kind == "allowance" and len(parts) == 3:
        return f"monthly:{parts[2]}"
    return ":".join(parts[:2]) if len(parts) == 3 else key


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_mailboxes_of_providers"),
        ("credits", "0008_mailbox_grants"),
    ]

    operations = [migrations.RunPython(write_down, migrations.RunPython.noop)]
