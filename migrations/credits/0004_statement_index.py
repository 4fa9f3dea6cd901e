"""Each entry repeats its transaction's kind and time, and one index carries them: a statement of
any length is filtered inside the index, without a visit to the lines that are passed over.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now

KINDS = [
    ("grant", "welcome credits"),
    ("capture", "image"),
    ("top_up", "top-up"),
    ("adjustment", "adjustment"),
    ("reversal", "undone"),
    ("refund", "refund"),
    ("code", "code"),
    ("allowance", "monthly allowance"),
    ("invitation", "invitation"),
    ("repair", "correction"),
]

# The lines are append-only for everybody else; what is filled in here was said already, in the
# transaction.
FILL = """
ALTER TABLE credits_entry DISABLE TRIGGER entry_append_only;
UPDATE credits_entry SET kind = posted.kind, at = posted.created_at
    FROM credits_transaction posted WHERE posted.id = credits_entry.transaction_id;
ALTER TABLE credits_entry ENABLE TRIGGER entry_append_only;
"""

FORWARD = """
CREATE FUNCTION credits_copy_kind() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT kind, created_at INTO NEW.kind, NEW.at
        FROM credits_transaction WHERE id = NEW.transaction_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'an entry comes after its transaction %', NEW.transaction_id
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER entry_repeats_its_transaction BEFORE INSERT ON credits_entry
    FOR EACH ROW EXECUTE FUNCTION credits_copy_kind();
"""

BACKWARD = """
DROP TRIGGER entry_repeats_its_transaction ON credits_entry;
DROP FUNCTION credits_copy_kind();
"""


class Migration(migrations.Migration):
    dependencies = [("credits", "0003_batches_codes_requests")]

    operations = [
        migrations.AddField(
            model_name="entry",
            name="kind",
            field=models.CharField(
                choices=KINDS, db_default="", editable=False, max_length=16
            ),
        ),
        migrations.AddField(
            model_name="entry",
            name="at",
            field=models.DateTimeField(db_default=Now(), editable=False),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.RemoveIndex(model_name="entry", name="entry_statement"),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(
                fields=["account", "-id", "kind", "at"],
                include=["amount_ucr"],
                name="entry_statement",
            ),
        ),
        # The index above begins with the account.
        migrations.AlterField(
            model_name="entry",
            name="account",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.RESTRICT,
                related_name="entries",
                to="credits.account",
            ),
        ),
        migrations.RemoveIndex(model_name="hold", name="hold_statement"),
        migrations.AddIndex(
            model_name="hold",
            index=models.Index(
                fields=["account", "state", "-resolved_at", "-id"],
                include=["amount_ucr"],
                name="hold_statement",
            ),
        ),
    ]
