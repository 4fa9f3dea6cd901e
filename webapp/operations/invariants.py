"""What must be true of the ledger, each one query that finds nothing as long as it is.

A row of a query fills its sentence. Every query is one statement, so that it sees the whole of
every commit and can run while the studio is open; none needs more than one pass over a table and
hash joins (a million lines take seconds).
"""

BALANCES: dict[str, tuple[str, str]] = {
    "posted": (
        "account {0}: posted is {1}, its entries sum to {2}",
        """
        SELECT a.id, a.posted_ucr, COALESCE(e.total, 0)
        FROM credits_account a LEFT JOIN (
            SELECT account_id, SUM(amount_ucr)::bigint AS total
            FROM credits_entry GROUP BY account_id) e ON e.account_id = a.id
        WHERE a.kind = 'user' AND a.posted_ucr <> COALESCE(e.total, 0)""",
    ),
    "held": (
        "account {0}: held is {1}, its open holds sum to {2}",
        """
        SELECT a.id, a.held_ucr, COALESCE(h.total, 0)
        FROM credits_account a LEFT JOIN (
            SELECT account_id, SUM(amount_ucr)::bigint AS total
            FROM credits_hold WHERE state = 'held' GROUP BY account_id) h ON h.account_id = a.id
        WHERE a.held_ucr <> COALESCE(h.total, 0)""",
    ),
    "running_balance": (
        "entry {0}: says {1} is left after it, the lines up to it sum to {2}",
        """
        SELECT id, balance_after_ucr, running FROM (
            SELECT e.id, e.balance_after_ucr, (SUM(e.amount_ucr) OVER
                (PARTITION BY e.account_id ORDER BY e.id))::bigint AS running
            FROM credits_entry e JOIN credits_account a ON a.id = e.account_id
            WHERE a.kind = 'user') lines
        WHERE balance_after_ucr IS DISTINCT FROM running""",
    ),
    "system_balance": (
        "entry {0}: is on the system's account {1}, yet says that {2} is left",
        """
        SELECT e.id, e.account_id, e.balance_after_ucr
        FROM credits_entry e JOIN credits_account a ON a.id = e.account_id
        WHERE a.kind <> 'user' AND e.balance_after_ucr IS NOT NULL""",
    ),
    "sum": (
        "transaction {0}: its {1} entries sum to {2}",
        """
        SELECT t.id, COALESCE(e.lines, 0), COALESCE(e.total, 0)
        FROM credits_transaction t LEFT JOIN (
            SELECT transaction_id, COUNT(*) AS lines, SUM(amount_ucr)::bigint AS total
            FROM credits_entry GROUP BY transaction_id) e ON e.transaction_id = t.id
        WHERE COALESCE(e.lines, 0) < 2 OR e.total <> 0""",
    ),
    "entry_kind": (
        "entry {0}: is of {1} at {2}, its transaction of {3} at {4}",
        """
        SELECT e.id, e.kind, e.at, t.kind, t.created_at
        FROM credits_entry e JOIN credits_transaction t ON t.id = e.transaction_id
        WHERE e.kind <> t.kind OR e.at <> t.created_at""",
    ),
    "global_sum": (
        "all entries together sum to {0} instead of 0",
        "SELECT SUM(amount_ucr)::bigint FROM credits_entry HAVING SUM(amount_ucr) <> 0",
    ),
    "account": (
        "user {0}: has no account",
        """
        SELECT u.id FROM accounts_user u LEFT JOIN credits_account a ON a.user_id = u.id
        WHERE a.id IS NULL""",
    ),
    "closed": (
        "account {0}: nobody has it any more, but {1} is held",
        """
        SELECT a.id, SUM(h.amount_ucr)::bigint
        FROM credits_hold h JOIN credits_account a ON a.id = h.account_id
        WHERE h.state = 'held' AND a.user_id IS NULL GROUP BY a.id""",
    ),
}

IMAGES: dict[str, tuple[str, str]] = {
    "image_state": (
        "image {0}: {1}, but its hold is {2}",
        """
        SELECT i.id, i.state, COALESCE(h.state, 'missing')
        FROM generation_image i JOIN generation_generation g ON g.id = i.generation_id
        LEFT JOIN credits_hold h ON h.image_id = i.id
        WHERE g.price_each_ucr > 0 AND COALESCE(h.state, 'missing') <> CASE
            WHEN i.state = 'stored' OR i.failure_code = 'file_lost' THEN 'captured'
            WHEN i.state IN ('queued', 'running') THEN 'held' ELSE 'released' END""",
    ),
    "image_price": (
        "image {0}: {1} was quoted, {2} is its hold",
        """
        SELECT i.id, g.price_each_ucr, h.amount_ucr
        FROM credits_hold h JOIN generation_image i ON i.id = h.image_id
        JOIN generation_generation g ON g.id = i.generation_id
        WHERE g.price_each_ucr <> h.amount_ucr""",
    ),
    "hold_image": (
        "hold {0}: is open, but there is no image {1}",
        """
        SELECT h.id, h.image_id FROM credits_hold h
        LEFT JOIN generation_image i ON i.id = h.image_id
        WHERE h.state = 'held' AND i.id IS NULL""",
    ),
    "hold_lines": (
        "hold {0}: is {1}, with {2} lines on its account",
        """
        SELECT h.id, h.state, COALESCE(c.lines, 0)
        FROM credits_hold h LEFT JOIN (
            SELECT image_id, account_id, COUNT(*) AS lines FROM credits_entry
            WHERE kind = 'capture' GROUP BY image_id, account_id
        ) c ON c.image_id = h.image_id AND c.account_id = h.account_id
        WHERE COALESCE(c.lines, 0) <> CASE WHEN h.state = 'captured' THEN 1 ELSE 0 END""",
    ),
    "hold_amount": (
        "hold {0}: {1} was held, {2} was charged",
        """
        SELECT h.id, h.amount_ucr, -c.amount_ucr
        FROM credits_hold h JOIN credits_entry c ON c.kind = 'capture'
            AND c.image_id = h.image_id AND c.account_id = h.account_id
        WHERE h.state = 'captured' AND c.amount_ucr <> -h.amount_ucr""",
    ),
    "charge": (
        "entry {0}: charges for image {1}, which has no hold",
        """
        SELECT e.id, e.image_id FROM credits_entry e
        LEFT JOIN credits_hold h ON h.image_id = e.image_id
        WHERE e.image_id IS NOT NULL AND h.id IS NULL""",
    ),
    "refund": (
        "image {0}: {1} was charged, {2} was given back in {3} refunds",
        """
        SELECT image_id, charged, given_back, refunds FROM (
            SELECT e.image_id,
                COALESCE(-SUM(amount_ucr) FILTER (WHERE e.kind = 'capture'), 0)::bigint AS charged,
                SUM(amount_ucr) FILTER (WHERE e.kind = 'refund')::bigint AS given_back,
                COUNT(*) FILTER (WHERE e.kind = 'refund') AS refunds
            FROM credits_entry e JOIN credits_account a ON a.id = e.account_id
            WHERE a.kind = 'user' AND e.image_id IS NOT NULL GROUP BY e.image_id) of_image
        WHERE refunds > 1 OR given_back <> charged""",
    ),
    "share": (
        "share {0}: counts {1} queued images, there are {2}",
        """
        SELECT s.id, s.queued, COALESCE(i.queued, 0)
        FROM generation_queueshare s LEFT JOIN (
            SELECT owner_id, model_id, COUNT(*) AS queued FROM generation_image
            WHERE state = 'queued' GROUP BY owner_id, model_id
        ) i ON i.owner_id = s.owner_id AND i.model_id = s.model_id
        WHERE s.queued <> COALESCE(i.queued, 0)""",
    ),
}

GIVEN: dict[str, tuple[str, str]] = {
    "reversal": (
        "transaction {0}: undoes transaction {1}, but moves {2} where that moved {3}",
        """
        SELECT t.id, t.reverses_id, e.amount_ucr, undone.amount_ucr
        FROM credits_transaction t JOIN credits_entry e ON e.transaction_id = t.id
        LEFT JOIN credits_entry undone
            ON undone.transaction_id = t.reverses_id AND undone.account_id = e.account_id
        WHERE t.kind = 'reversal' AND undone.amount_ucr IS DISTINCT FROM -e.amount_ucr""",
    ),
    "batch": (
        "batch {0}: is of {1} people and {2}, its lines are of {3} and {4}",
        """
        SELECT b.id, b.people, b.total_ucr, COALESCE(l.people, 0), COALESCE(l.total, 0)
        FROM credits_topupbatch b LEFT JOIN (
            SELECT t.batch_id, COUNT(DISTINCT e.account_id) AS people,
                SUM(e.amount_ucr)::bigint AS total
            FROM credits_transaction t JOIN credits_entry e ON e.transaction_id = t.id
            JOIN credits_account a ON a.id = e.account_id AND a.kind = 'user'
            WHERE t.batch_id IS NOT NULL GROUP BY t.batch_id
        ) l ON l.batch_id = b.id
        WHERE b.people <> COALESCE(l.people, 0) OR b.total_ucr <> COALESCE(l.total, 0)""",
    ),
    "code_uses": (
        "code {0}: {1} uses are left of {2}, {3} people used it",
        """
        SELECT c.id, c.uses_left, b.uses_per_code, COALESCE(u.people, 0)
        FROM credits_code c JOIN credits_codebatch b ON b.id = c.batch_id
        LEFT JOIN (SELECT code_id, COUNT(*) AS people FROM credits_codeuse GROUP BY code_id) u
            ON u.code_id = c.id
        WHERE c.uses_left + COALESCE(u.people, 0) <> b.uses_per_code""",
    ),
    "code_use": (
        "use {0}: the code gives {1}, its transaction {2} gave {3}",
        """
        SELECT u.id, b.amount_ucr, u.transaction_id, e.amount_ucr
        FROM credits_codeuse u JOIN credits_code c ON c.id = u.code_id
        JOIN credits_codebatch b ON b.id = c.batch_id
        JOIN credits_transaction t ON t.id = u.transaction_id
        LEFT JOIN credits_entry e
            ON e.transaction_id = u.transaction_id AND e.account_id = u.account_id
        WHERE t.kind <> 'code' OR e.amount_ucr IS DISTINCT FROM b.amount_ucr""",
    ),
    "mailbox_grant": (
        "transaction {0}: gave a {1}, but to which mailbox is not written down",
        """
        SELECT t.id, t.kind FROM credits_transaction t
        LEFT JOIN credits_mailboxgrant g ON g.transaction_id = t.id
        WHERE t.kind IN ('grant', 'invitation', 'code', 'allowance') AND g.id IS NULL""",
    ),
    "mailbox_grant_kind": (
        "transaction {0}: is a {1}, and stands for a mailbox as {2}",
        """
        SELECT t.id, t.kind, g.what
        FROM credits_mailboxgrant g JOIN credits_transaction t ON t.id = g.transaction_id
        WHERE t.kind NOT IN ('grant', 'invitation', 'code', 'allowance')""",
    ),
    "code_transaction": (
        "transaction {0}: is a code's, but no use of a code has it",
        """
        SELECT t.id FROM credits_transaction t
        LEFT JOIN credits_codeuse u ON u.transaction_id = t.id
        WHERE t.kind = 'code' AND u.id IS NULL""",
    ),
}

# code -> (sentence, query)
INVARIANTS = {**BALANCES, **IMAGES, **GIVEN}
