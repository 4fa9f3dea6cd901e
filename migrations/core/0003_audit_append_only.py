"""The audit log cannot be changed; the tests' switch for TRUNCATE is the ledger's."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION core_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' AND current_setting('darkroom.ledger_flush', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON core_auditline
    FOR EACH ROW EXECUTE FUNCTION core_refuse_change();
CREATE TRIGGER audit_never_emptied BEFORE TRUNCATE ON core_auditline
    FOR EACH STATEMENT EXECUTE FUNCTION core_refuse_change();
"""

BACKWARD = """
DROP TRIGGER audit_never_emptied ON core_auditline;
DROP TRIGGER audit_append_only ON core_auditline;
DROP FUNCTION core_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0002_audit_and_idempotency")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
