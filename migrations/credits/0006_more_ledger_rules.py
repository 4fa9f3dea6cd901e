"""More of what the database itself holds about the books: batches and uses of codes are
append-only, holds and accounts are never deleted, an account has one owner until nobody has it,
and an undo is exactly minus what it undoes.
"""

from django.db import migrations, models

FORWARD = """
CREATE TRIGGER code_use_append_only BEFORE UPDATE OR DELETE ON credits_codeuse
    FOR EACH ROW EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER code_use_never_emptied BEFORE TRUNCATE ON credits_codeuse
    FOR EACH STATEMENT EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER batch_never_deleted BEFORE DELETE ON credits_topupbatch
    FOR EACH ROW EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER batch_never_emptied BEFORE TRUNCATE ON credits_topupbatch
    FOR EACH STATEMENT EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER hold_never_deleted BEFORE DELETE ON credits_hold
    FOR EACH ROW EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER hold_never_emptied BEFORE TRUNCATE ON credits_hold
    FOR EACH STATEMENT EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER account_never_deleted BEFORE DELETE ON credits_account
    FOR EACH ROW EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER account_never_emptied BEFORE TRUNCATE ON credits_account
    FOR EACH STATEMENT EXECUTE FUNCTION credits_refuse_change();

CREATE FUNCTION credits_batch_actor_may_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.actor_id IS NOT NULL AND NEW.actor_id IS DISTINCT FROM OLD.actor_id THEN
        RAISE EXCEPTION 'the books are append-only: batch % keeps who booked it', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    OLD.actor_id := NEW.actor_id;
    IF OLD IS DISTINCT FROM NEW THEN
        RAISE EXCEPTION 'the books are append-only: UPDATE on credits_topupbatch is refused'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER batch_actor_may_go BEFORE UPDATE ON credits_topupbatch
    FOR EACH ROW EXECUTE FUNCTION credits_batch_actor_may_go();

CREATE FUNCTION credits_account_keeps_its_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'account % keeps its kind, its pseudonym and its owner', OLD.id
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER account_keeps_its_owner BEFORE UPDATE ON credits_account FOR EACH ROW
    WHEN (NEW.kind <> OLD.kind OR NEW.pseudonym <> OLD.pseudonym
        OR (NEW.user_id IS NOT NULL AND NEW.user_id IS DISTINCT FROM OLD.user_id))
    EXECUTE FUNCTION credits_account_keeps_its_owner();

CREATE FUNCTION credits_check_reversal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM (
            SELECT account_id, amount_ucr FROM credits_entry WHERE transaction_id = NEW.id
        ) undo FULL JOIN (
            SELECT account_id, amount_ucr FROM credits_entry WHERE transaction_id = NEW.reverses_id
        ) undone ON undone.account_id = undo.account_id AND undone.amount_ucr = -undo.amount_ucr
        WHERE undo.account_id IS NULL OR undone.account_id IS NULL
    ) THEN
        RAISE EXCEPTION 'transaction % is not minus transaction %, which it undoes',
            NEW.id, NEW.reverses_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER transaction_undoes_exactly AFTER INSERT ON credits_transaction
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.kind = 'reversal')
    EXECUTE FUNCTION credits_check_reversal();
"""

BACKWARD = """
DROP TRIGGER transaction_undoes_exactly ON credits_transaction;
DROP FUNCTION credits_check_reversal();
DROP TRIGGER account_keeps_its_owner ON credits_account;
DROP FUNCTION credits_account_keeps_its_owner();
DROP TRIGGER batch_actor_may_go ON credits_topupbatch;
DROP FUNCTION credits_batch_actor_may_go();
DROP TRIGGER account_never_emptied ON credits_account;
DROP TRIGGER account_never_deleted ON credits_account;
DROP TRIGGER hold_never_emptied ON credits_hold;
DROP TRIGGER hold_never_deleted ON credits_hold;
DROP TRIGGER batch_never_emptied ON credits_topupbatch;
DROP TRIGGER batch_never_deleted ON credits_topupbatch;
DROP TRIGGER code_use_never_emptied ON credits_codeuse;
DROP TRIGGER code_use_append_only ON credits_codeuse;
"""


class Migration(migrations.Migration):
    dependencies = [("credits", "0005_ledger_pages")]

    operations = [
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.CheckConstraint(
                condition=models.Q(("balance_after_ucr", None), ("balance_after_ucr__gte", 0), _connector="OR"),
                name="entry_balance_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("image_id__isnull", False), ("kind__in", ["capture", "refund"])),
                    models.Q(
                        models.Q(("kind__in", ["capture", "refund"]), _negated=True),
                        ("image_id", None),
                    ),
                    _connector="OR",
                ),
                name="entry_image_only_of_a_charge_or_refund",
            ),
        ),
        migrations.AddConstraint(
            model_name="topupbatch",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("people__gte", 1),
                    models.Q(("actor_name", ""), _negated=True),
                    models.Q(("reason", ""), _negated=True),
                ),
                name="batch_needs_people_actor_and_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="transaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("batch", None), ("kind__in", ["top_up", "adjustment"]), _connector="OR"
                ),
                name="transaction_of_a_batch_is_by_hand",
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
