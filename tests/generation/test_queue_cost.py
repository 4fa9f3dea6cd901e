"""What a claim and a look at the places read of a long queue."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.bench.bulk import add_people
from tests.generation.test_queue_places import work
from tests.people import make_model, make_user, submit
from webapp.generation.models import QueueShare
from webapp.generation.queueing.claims import fairest_shares
from webapp.generation.queueing.places import look_at_queue

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey_is_empty")]

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


def test_a_look_at_the_places_does_not_compare_every_image_with_every_other() -> None:
    model = make_model("first")
    people = [make_user(f"person{number}") for number in range(12)]
    for person in people:
        submit(person, model, count=10)
    work(model)
    with CaptureQueriesContext(connection) as asked:
        told = look_at_queue(owner_ids=[person.pk for person in people])
    assert sum(map(len, told.places.values())) == 120
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {asked.captured_queries[-1]['sql']}")
        [[[plan]]] = cursor.fetchall()
    assert sum(compared(plan["Plan"])) < 1_000


def compared(plan: dict[str, Any]) -> Iterator[int]:
    """How many pairs of rows each part of the plan looked at in vain, all its turns together."""
    yield plan.get("Rows Removed by Join Filter", 0) * plan["Actual Loops"]
    for part in plan.get("Plans", []):
        yield from compared(part)


def rows_of(plan: dict[str, Any]) -> Iterator[int]:
    """How many rows each part of the plan read, all its turns together."""
    yield plan["Actual Rows"] * plan["Actual Loops"] + plan.get("Rows Removed by Filter", 0)
    for part in plan.get("Plans", []):
        yield from rows_of(part)
