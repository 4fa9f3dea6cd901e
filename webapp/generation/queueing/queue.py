"""The bookkeeping of fair shares: who has how much queued, and how much was done for them.

Callers hold an open transaction and have locked their image rows first: shares are always the
last lock taken (claims lock a share first, but never wait for an image: SKIP LOCKED).
"""

from django.db import connection
from django.db.models import F

from webapp.generation.models import QueueShare

JOIN_SQL = """
INSERT INTO generation_queueshare AS mine (owner_id, model_id, queued, served_cost)
VALUES (%(owner)s, %(model)s, %(images)s, {clock})
ON CONFLICT (owner_id, model_id) DO UPDATE SET
    queued = mine.queued + EXCLUDED.queued,
    served_cost = CASE WHEN mine.queued > 0 THEN mine.served_cost
                       ELSE GREATEST(mine.served_cost, EXCLUDED.served_cost) END
RETURNING mine.queued + COALESCE((
    SELECT SUM(queued) FROM generation_queueshare
    WHERE owner_id = mine.owner_id AND model_id <> mine.model_id), 0)::bigint
"""
# The clock: the least served of those who wait now, or the most ever served when nobody waits.
CLOCK_SQL = """COALESCE(
    (SELECT MIN(served_cost) FROM generation_queueshare WHERE queued > 0),
    (SELECT MAX(served_cost) FROM generation_queueshare), 0)"""


def join(*, owner_id: int, model_id: int, images: int) -> int:
    """Adds images to the owner's share; one who was away starts at the clock of those who wait.

    Returns how many images of the owner are queued now, over all models.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            JOIN_SQL.format(clock=CLOCK_SQL),
            {"owner": owner_id, "model": model_id, "images": images},
        )
        return int(cursor.fetchone()[0])


def rejoin(*, owner_id: int, model_id: int, cost: int) -> None:
    """Puts one image back (its lease ended) and takes back what was counted for it."""
    QueueShare.objects.filter(owner_id=owner_id, model_id=model_id).update(
        queued=F("queued") + 1, served_cost=F("served_cost") - cost
    )


def leave(*, owner_id: int, model_id: int) -> None:
    """Takes one queued image out (it was cancelled)."""
    QueueShare.objects.filter(owner_id=owner_id, model_id=model_id).update(queued=F("queued") - 1)


def serve(*, share: QueueShare, cost: int) -> None:
    """Counts a claimed image of this cost for the owner."""
    QueueShare.objects.filter(pk=share.pk).update(
        queued=F("queued") - 1, served_cost=F("served_cost") + cost
    )
