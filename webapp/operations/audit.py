"""The invariants of the books and of the queue, each one query; files are read one by one.

posted = sum of entries = balance after the last one        held = sum of open holds
every transaction sums to 0        every charge has its hold
image stored <=> exactly one capture <=> its file is there with the stored hash
open hold <=> queued or running image      shares count what is queued
"""

import hashlib
from collections.abc import Iterator

from django.core.files.storage import default_storage
from django.db import connection

from webapp.core.units import format_credits
from webapp.generation.models import Image

HASH_CHUNK_BYTES = 1 << 20

QUERIES: dict[str, str] = {
    "account {0}: posted is {1}, its entries sum to {2}": """
        SELECT a.id, a.posted_ucr, COALESCE(SUM(e.amount_ucr), 0)::bigint
        FROM credits_account a LEFT JOIN credits_entry e ON e.account_id = a.id
        WHERE a.kind = 'user' GROUP BY a.id
        HAVING a.posted_ucr <> COALESCE(SUM(e.amount_ucr), 0)""",
    "account {0}: held is {1}, its open holds sum to {2}": """
        SELECT a.id, a.held_ucr, COALESCE(SUM(h.amount_ucr), 0)::bigint
        FROM credits_account a LEFT JOIN credits_hold h
            ON h.account_id = a.id AND h.state = 'held'
        GROUP BY a.id HAVING a.held_ucr <> COALESCE(SUM(h.amount_ucr), 0)""",
    "transaction {0}: its {1} entries sum to {2}": """
        SELECT t.id, COUNT(e.id), COALESCE(SUM(e.amount_ucr), 0)::bigint
        FROM credits_transaction t LEFT JOIN credits_entry e ON e.transaction_id = t.id
        GROUP BY t.id HAVING COUNT(e.id) < 2 OR COALESCE(SUM(e.amount_ucr), 0) <> 0""",
    "user {0}: has no account": """
        SELECT u.id FROM accounts_user u LEFT JOIN credits_account a ON a.user_id = u.id
        WHERE a.id IS NULL""",
    "image {0}: {1}, but its hold is {2}": """
        SELECT i.id, i.state, COALESCE(h.state, 'missing')
        FROM generation_image i JOIN generation_generation g ON g.id = i.generation_id
        LEFT JOIN credits_hold h ON h.image_id = i.id
        WHERE g.price_each_ucr > 0 AND COALESCE(h.state, 'missing') <> CASE
            WHEN i.state = 'stored' THEN 'captured'
            WHEN i.state IN ('queued', 'running') THEN 'held' ELSE 'released' END""",
    "hold {0}: is open, but there is no image {1}": """
        SELECT h.id, h.image_id FROM credits_hold h
        LEFT JOIN generation_image i ON i.id = h.image_id
        WHERE h.state = 'held' AND i.id IS NULL""",
    "hold {0}: is {1}, with {2} lines on its account": """
        SELECT h.id, h.state, COUNT(e.id) FROM credits_hold h
        LEFT JOIN credits_entry e ON e.image_id = h.image_id AND e.account_id = h.account_id
        GROUP BY h.id HAVING COUNT(e.id) <> CASE WHEN h.state = 'captured' THEN 1 ELSE 0 END""",
    "hold {0}: {1} was held, {2} was charged": """
        SELECT h.id, h.amount_ucr, -e.amount_ucr FROM credits_hold h
        JOIN credits_entry e ON e.image_id = h.image_id AND e.account_id = h.account_id
        WHERE h.state = 'captured' AND e.amount_ucr <> -h.amount_ucr""",
    "entry {0}: charges for image {1}, which has no hold": """
        SELECT e.id, e.image_id FROM credits_entry e
        LEFT JOIN credits_hold h ON h.image_id = e.image_id
        WHERE e.image_id IS NOT NULL AND h.id IS NULL""",
    "entry {0}: says {1} is left after it, the lines up to it sum to {2}": """
        SELECT id, balance_after_ucr, running FROM (
            SELECT e.id, e.balance_after_ucr, (SUM(e.amount_ucr) OVER
                (PARTITION BY e.account_id ORDER BY e.id))::bigint AS running
            FROM credits_entry e JOIN credits_account a ON a.id = e.account_id
            WHERE a.kind = 'user') lines
        WHERE balance_after_ucr IS DISTINCT FROM running""",
    "share {0}: counts {1} queued images, there are {2}": """
        SELECT s.id, s.queued, COUNT(i.id) FROM generation_queueshare s
        LEFT JOIN generation_image i
            ON i.owner_id = s.owner_id AND i.model_id = s.model_id AND i.state = 'queued'
        GROUP BY s.id HAVING s.queued <> COUNT(i.id)""",
}


def find_violations(*, files: bool = True) -> Iterator[str]:
    """One sentence for each violated invariant; with `files` every stored picture is read too."""
    for sentence, query in QUERIES.items():
        with connection.cursor() as cursor:
            cursor.execute(query)
            for row in cursor.fetchall():
                yield sentence.format(*row)
    if files:
        yield from _find_file_violations()


def summarise() -> str:
    """How much the books hold, in one line."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM credits_transaction")
        (transactions,) = cursor.fetchone()
        cursor.execute(
            "SELECT COUNT(*), COALESCE(SUM(posted_ucr), 0)::bigint,"
            " COALESCE(SUM(held_ucr), 0)::bigint FROM credits_account WHERE kind = 'user'"
        )
        accounts, posted_ucr, held_ucr = cursor.fetchone()
    return (
        f"{accounts} accounts, {transactions} transactions,"
        f" {format_credits(posted_ucr)} credits posted, {format_credits(held_ucr)} held"
    )


def _find_file_violations() -> Iterator[str]:
    stored = Image.objects.filter(state=Image.State.STORED).only("file", "thumbnail", "sha256")
    for image in stored.iterator():
        for name in (image.file, image.thumbnail):
            if not default_storage.exists(name):
                yield f"image {image.pk}: its file {name} is gone"
                break
        else:
            if _sha256(image.file) != image.sha256:
                yield f"image {image.pk}: its file {image.file} was changed"


def _sha256(name: str) -> str:
    digest = hashlib.sha256()
    with default_storage.open(name) as file:
        while chunk := file.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
