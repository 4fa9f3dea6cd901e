"""What a claim reads of a long queue."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from tests.bench.bulk import add_people
from tests.people import make_model
from webapp.generation.models import QueueShare
from webapp.generation.queueing.claims import fairest_shares

pytestmark = pytest.mark.django_db

WAITING = 3_000
SHARES = """
INSERT INTO generation_queueshare (owner_id, model_id, queued, served_cost)
SELECT id, %s, 1, 0 FROM accounts_user WHERE email ~ '^person[0-9]+@'
"""


def test_a_claim_reads_few_shares_however_many_users_were_served_alike() -> None:
    models = [make_model("first"), make_model("second")]
    with connection.cursor() as cursor:
        add_people(cursor, people=WAITING)
        for model in models:
            cursor.execute(SHARES, [model.pk])
        cursor.execute("ANALYZE generation_queueshare")
    slugs = [model.slug for model in models]
    shares = fairest_shares(slugs, but_not_of=[], passed_over=[])
    [plan] = json.loads(shares.explain(analyze=True, format="json"))
    assert max(rows_of(plan["Plan"])) < 200
    assert list(shares[:3]) == list(QueueShare.objects.order_by("served_cost", "pk")[:3])


def rows_of(plan: dict[str, Any]) -> Iterator[int]:
    """How many rows each part of the plan read, all its turns together."""
    yield plan["Actual Rows"] * plan["Actual Loops"] + plan.get("Rows Removed by Filter", 0)
    for part in plan.get("Plans", []):
        yield from rows_of(part)
