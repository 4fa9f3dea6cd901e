"""What the database refuses by itself, whoever asks: each a statement behind the ledger's back."""
# ruff: noqa: S608 - the statements are this file's own

import uuid

import pytest
from django.db import IntegrityError, connection, transaction

from webapp.accounts.models import User
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import ledger
from webapp.credits.models import Account, Code, CodeBatch, CodeUse, TopUpBatch, Transaction

CREDIT = UCR_PER_CREDIT


@pytest.fixture
def books(alice: User, charlie: User) -> None:
    """One of everything: a grant, a batch, a used code, a hold that is open and one charged."""
    ledger.top_up_many(
        batch_id=uuid.UUID(int=1),
        lines=[(alice.pk, 5 * CREDIT)],
        actor=charlie,
        reason="prize",
    )
    ledger.post_grant(user=alice, amount_ucr=CREDIT, kind=Transaction.Kind.CODE, key="code:1:1")
    batch = CodeBatch.objects.create(name="fair", amount_ucr=CREDIT, count=1)
    code = Code.objects.create(batch=batch, number=1, digest="d", uses_left=0)
    CodeUse.objects.create(
        code=code,
        account=alice.account,
        transaction=Transaction.objects.get(idempotency_key="code:1:1"),
    )
    charged, held = uuid.UUID(int=2), uuid.UUID(int=3)
    ledger.hold_for_images(user=alice, amounts_ucr={charged: 200_000, held: 200_000})
    ledger.capture(image_id=charged)


@pytest.fixture
def immediately(books: None) -> None:
    """Deferred triggers speak at once."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def run(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    "table", ["transaction", "entry", "codeuse", "topupbatch", "hold", "account"]
)
def test_nothing_is_deleted_from_the_books(books: None, table: str) -> None:
    with pytest.raises(IntegrityError, match="append-only: DELETE"):
        run(f"DELETE FROM credits_{table}")


@pytest.mark.parametrize(
    "table", ["transaction", "entry", "codeuse", "topupbatch", "hold", "account"]
)
def test_the_books_are_never_emptied(immediately: None, table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL darkroom.ledger_flush = 'off'")
    with pytest.raises(IntegrityError, match="append-only: TRUNCATE"):
        run(f"TRUNCATE credits_{table} CASCADE")


@pytest.mark.parametrize(
    "change",
    [
        "transaction SET reason = 'x'",
        "transaction SET note = 'x'",
        "transaction SET actor_id = 1",
        "entry SET amount_ucr = 1",
        "entry SET kind = 'grant'",
        "entry SET image_id = NULL",
        "codeuse SET at = now()",
        "topupbatch SET total_ucr = 1",
        "topupbatch SET reason = 'x', actor_id = NULL",
        "topupbatch SET actor_id = actor_id + 1",
    ],
)
def test_what_was_written_stays_as_it_was_written(books: None, change: str) -> None:
    with pytest.raises(IntegrityError, match="append-only"):
        run(f"UPDATE credits_{change}")


def test_a_batch_outlives_the_account_of_who_booked_it(books: None, charlie: User) -> None:
    charlie.delete()
    batch = TopUpBatch.objects.get()
    assert (batch.actor, batch.actor_name) == (None, "charlie@example.org")


@pytest.mark.parametrize(
    "change",
    [
        "state = 'released', resolved_at = now() WHERE state = 'captured'",
        "state = 'held', resolved_at = NULL WHERE state = 'captured'",
        "amount_ucr = 1 WHERE state = 'held'",
        "image_id = gen_random_uuid() WHERE state = 'held'",
        "account_id = account_id + 1 WHERE state = 'held'",
    ],
)
def test_a_hold_is_resolved_once_and_not_changed_otherwise(books: None, change: str) -> None:
    with pytest.raises(IntegrityError, match="exactly once"):
        run(f"UPDATE credits_hold SET {change}")


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("state = 'released' WHERE state = 'held'", "hold_resolved_has_a_time"),
        ("resolved_at = now() WHERE state = 'held'", "hold_resolved_has_a_time"),
    ],
)
def test_a_resolved_hold_has_a_time(books: None, change: str, constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        run(f"UPDATE credits_hold SET {change}")


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ("held_ucr = -1 WHERE kind = 'user'", "account_held_not_negative"),
        ("held_ucr = posted_ucr + 1 WHERE kind = 'user'", "account_posted_covers_held"),
        ("posted_ucr = -1, held_ucr = 0 WHERE kind = 'user'", "account_posted_covers_held"),
        ("posted_ucr = 1 WHERE kind = 'grants'", "account_system_has_no_balance"),
        ("kind = 'user' WHERE kind = 'grants'", "keeps its kind"),
        ("pseudonym = gen_random_uuid()", "keeps its kind"),
        ("user_id = 0 WHERE kind = 'user'", "keeps its kind"),
        ("user_id = 0 WHERE kind = 'grants'", "keeps its kind"),
    ],
)
def test_an_account_keeps_its_rules(books: None, change: str, refusal: str) -> None:
    with pytest.raises(IntegrityError, match=refusal):
        run(f"UPDATE credits_account SET {change}")


ACCOUNT = (
    "INSERT INTO credits_account (kind, user_id, pseudonym, posted_ucr, held_ucr, created_at)"
    " SELECT {values}, gen_random_uuid(), 0, 0, now() FROM accounts_user LIMIT 1"
)
TRANSACTION = (
    "INSERT INTO credits_transaction"
    " (kind, actor_name, reason, note, idempotency_key, batch_id, reverses_id, created_at)"
    " SELECT {values}, now() FROM credits_topupbatch b, credits_transaction t"
    " WHERE t.kind = 'grant' LIMIT 1"
)
HOLD = (
    "INSERT INTO credits_hold (image_id, account_id, amount_ucr, state, created_at)"
    " SELECT {values}, 'held', now() FROM credits_account WHERE kind = 'user' LIMIT 1"
)
BATCH = (
    "INSERT INTO credits_topupbatch"
    " (id, actor_name, reason, note, people, total_ucr, lines_hash, created_at)"
    " VALUES (gen_random_uuid(), {values}, '', now())"
)


@pytest.mark.parametrize(
    ("insert", "values", "constraint"),
    [
        (ACCOUNT, "'user', id", "credits_account_user_id"),
        (ACCOUNT, "'grants', NULL::bigint", "account_system_kind_unique"),
        (ACCOUNT, "'expired', id", "account_system_has_no_balance"),
        (TRANSACTION, "'grant', '', '', '', 'code:1:1', NULL, NULL::bigint", "idempotency_key"),
        (TRANSACTION, "'top_up', '', 'prize', '', 'k', NULL, NULL", "by_hand_needs"),
        (TRANSACTION, "'top_up', 'c', '', '', 'k', NULL, NULL", "by_hand_needs"),
        (TRANSACTION, "'adjustment', '', 'prize', '', 'k', NULL, NULL", "by_hand_needs"),
        (TRANSACTION, "'refund', 'c', '', '', 'k', NULL, NULL", "by_hand_needs"),
        (TRANSACTION, "'reversal', '', 'oops', '', 'k', NULL, t.id", "by_hand_needs"),
        (TRANSACTION, "'reversal', 'c', 'oops', '', 'k', NULL, NULL", "names_what_it_undoes"),
        (TRANSACTION, "'grant', '', '', '', 'k', NULL, t.id", "names_what_it_undoes"),
        (TRANSACTION, "'grant', '', '', '', 'k', b.id, NULL", "of_a_batch_is_by_hand"),
        (HOLD, "gen_random_uuid(), id, 0", "hold_amount_positive"),
        (HOLD, "gen_random_uuid(), id, -1", "hold_amount_positive"),
        (HOLD, "'00000000-0000-0000-0000-000000000002', id, 1", "credits_hold_image_id"),
        (BATCH, "'c', 'prize', '', 0, 0", "batch_needs_people"),
        (BATCH, "'', 'prize', '', 1, 1", "batch_needs_people"),
        (BATCH, "'c', '', '', 1, 1", "batch_needs_people"),
    ],
)
def test_a_row_that_breaks_a_rule_is_refused(
    books: None, insert: str, values: str, constraint: str
) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        run(insert.format(values=values))


def write(*entries: str, kind: str = "grant", reverses: str = "NULL") -> None:
    """A transaction of these entries (`amount, balance, image`), the second on the system's."""
    lines = [
        "INSERT INTO credits_entry (transaction_id, account_id, amount_ucr, balance_after_ucr,"
        f" image_id) SELECT currval('credits_transaction_id_seq'), id, {entry}"
        f" FROM credits_account WHERE kind = '{account}' ORDER BY posted_ucr DESC LIMIT 1;"
        for entry, account in zip(entries, ("user", "grants", "revenue"), strict=False)
    ]
    run(
        "SET CONSTRAINTS ALL DEFERRED;"
        "INSERT INTO credits_transaction (kind, actor_name, reason, note, idempotency_key,"
        f" reverses_id, created_at) SELECT '{kind}', 'c', 'r', '', 'k', {reverses}, now()"
        " FROM credits_transaction t WHERE t.kind = 'top_up';"
        f"{''.join(lines)} SET CONSTRAINTS ALL IMMEDIATE"
    )


IMAGE = "'00000000-0000-0000-0000-000000000002'::uuid"


@pytest.mark.parametrize(
    ("entries", "refusal"),
    [
        (["5, 5, NULL::uuid"], "1 entries that sum to 5"),
        (["5, 5, NULL::uuid", "-4, NULL, NULL"], "sum to 1 instead of 0"),
        ([], "has 0 entries"),
        (["0, 5, NULL::uuid", "0, NULL, NULL"], "entry_amount_not_zero"),
        (["5, -5, NULL::uuid", "-5, NULL, NULL"], "entry_balance_not_negative"),
        ([f"5, 5, {IMAGE}", "-5, NULL, NULL"], "only_of_a_charge_or_refund"),
    ],
)
def test_a_transaction_sums_to_zero_and_its_lines_keep_their_rules(
    books: None, entries: list[str], refusal: str
) -> None:
    with pytest.raises(IntegrityError, match=refusal):
        write(*entries)


@pytest.mark.parametrize("kind", ["capture", "refund"])
def test_a_charge_and_a_refund_name_their_image(books: None, kind: str) -> None:
    with pytest.raises(IntegrityError, match="only_of_a_charge_or_refund"):
        write("5, 5, NULL::uuid", "-5, NULL, NULL", kind=kind)


@pytest.mark.parametrize(
    "entries",
    [
        ["-4999999, 0, NULL::uuid", "4999999, NULL, NULL"],
        ["5000000, 0, NULL::uuid", "-5000000, NULL, NULL"],
        ["-5000000, 0, NULL::uuid", "4000000, NULL, NULL", "1000000, NULL, NULL"],
    ],
)
def test_an_undo_is_exactly_minus_what_it_undoes(books: None, entries: list[str]) -> None:
    with pytest.raises(IntegrityError, match="is not minus"):
        write(*entries, kind="reversal", reverses="t.id")


def test_an_undo_that_is_exact_is_taken_once(books: None) -> None:
    entries = ["-5000000, 0, NULL::uuid", "5000000, NULL, NULL"]
    write(*entries, kind="reversal", reverses="t.id")
    with pytest.raises(IntegrityError, match="idempotency_key"):
        write(*entries, kind="reversal", reverses="t.id")


def test_a_code_is_used_once_per_person_and_booking(books: None) -> None:
    with pytest.raises(IntegrityError, match="code_once_per_person"):
        run(
            "INSERT INTO credits_codeuse (code_id, account_id, transaction_id, at)"
            " SELECT code_id, account_id, t.id, now() FROM credits_codeuse,"
            " credits_transaction t WHERE t.kind = 'grant' LIMIT 1"
        )


def test_the_link_to_the_owner_can_be_cut(books: None, alice: User) -> None:
    run(f"UPDATE credits_account SET user_id = NULL WHERE user_id = {alice.pk}")
    assert Account.objects.filter(kind="user", user=None).count() == 1
