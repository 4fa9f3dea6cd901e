"""What the database itself holds about the books: append-only lines that sum to zero.

`darkroom.ledger_flush` is the tests' switch: with it on, TRUNCATE (and nothing else) may empty
the tables between two tests. No code of the application sets it.
"""

from django.db import migrations

SYSTEM_KINDS = ["grants", "revenue", "expired", "adjustments"]

FORWARD = """
CREATE FUNCTION credits_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' AND current_setting('darkroom.ledger_flush', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the books are append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER transaction_append_only BEFORE UPDATE OR DELETE ON credits_transaction
    FOR EACH ROW EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER transaction_never_emptied BEFORE TRUNCATE ON credits_transaction
    FOR EACH STATEMENT EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER entry_append_only BEFORE UPDATE OR DELETE ON credits_entry
    FOR EACH ROW EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER entry_never_emptied BEFORE TRUNCATE ON credits_entry
    FOR EACH STATEMENT EXECUTE FUNCTION credits_refuse_change();

CREATE FUNCTION credits_check_sum() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    total numeric;
    lines integer;
    changed bigint;
BEGIN
    IF TG_TABLE_NAME = 'credits_transaction' THEN changed := NEW.id;
    ELSE changed := NEW.transaction_id;
    END IF;
    SELECT COALESCE(SUM(amount_ucr), 0), COUNT(*) INTO total, lines
        FROM credits_entry WHERE transaction_id = changed;
    IF total <> 0 OR lines < 2 THEN
        RAISE EXCEPTION 'transaction % has % entries that sum to % instead of 0',
            changed, lines, total USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER entry_sums_to_zero AFTER INSERT ON credits_entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION credits_check_sum();
CREATE CONSTRAINT TRIGGER transaction_has_entries AFTER INSERT ON credits_transaction
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION credits_check_sum();

CREATE FUNCTION credits_hold_resolved_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'held' OR NEW.amount_ucr <> OLD.amount_ucr
        OR NEW.account_id <> OLD.account_id OR NEW.image_id <> OLD.image_id THEN
        RAISE EXCEPTION 'hold % is resolved exactly once and never changed otherwise', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER hold_resolved_once BEFORE UPDATE ON credits_hold
    FOR EACH ROW EXECUTE FUNCTION credits_hold_resolved_once();
"""

BACKWARD = """
DROP TRIGGER hold_resolved_once ON credits_hold;
DROP TRIGGER transaction_has_entries ON credits_transaction;
DROP TRIGGER entry_sums_to_zero ON credits_entry;
DROP TRIGGER entry_never_emptied ON credits_entry;
DROP TRIGGER entry_append_only ON credits_entry;
DROP TRIGGER transaction_never_emptied ON credits_transaction;
DROP TRIGGER transaction_append_only ON credits_transaction;
DROP FUNCTION credits_hold_resolved_once();
DROP FUNCTION credits_check_sum();
DROP FUNCTION credits_refuse_change();
"""


def open_system_accounts(apps, schema_editor):
    account = apps.get_model("credits", "Account")
    for kind in SYSTEM_KINDS:
        account.objects.get_or_create(kind=kind, defaults={"user": None})


class Migration(migrations.Migration):
    dependencies = [("credits", "0001_initial")]

    operations = [
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.RunPython(open_system_accounts, migrations.RunPython.noop),
    ]
