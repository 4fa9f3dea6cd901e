"""What an open page is told while very much waits: `make bench ONLY=waiting`.

Two throw-away servers, and 80,000 queued images, of which one user has 60,000 and a hundred others
200 each. The page asks as it would with 200 live images on it, by Django's test client, warm:
server time without the network. The figure is the median.
"""

import json
import os
import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.bench.apart import measure_apart
from tests.bench.bench import Bench
from tests.bench.figures import Figure

if TYPE_CHECKING:
    from webapp.accounts.models import User

MINE, OTHERS, PEOPLE, OF_A_REQUEST = 60_000, 20_000, 100, 10
ASKED, REPEATS, WARM_UPS = 200, 40, 3
STATE_KB, STATE_MS = 50.0, 30.0

REQUESTS = """
INSERT INTO generation_generation (
    id, owner_id, model_id, prompt, negative_prompt, width_px, height_px, steps, guidance_scale,
    sampler, seed, style, mode, exact, price_each_ucr, price_terms, idempotency_key, spec_hash,
    created_at
)
SELECT md5('waiting ' || %(owner)s || ' ' || n)::uuid, %(owner)s, %(model)s, 'a fox at dusk', '',
    64, 64, 4, 5, 'ddim', n, '', 'text', false, 200000, '{}', 'waiting-' || n, '',
    now() - n * interval '1 second'
FROM generate_series(1, %(requests)s) AS n
"""
IMAGES = """
INSERT INTO generation_image (
    id, generation_id, owner_id, model_id, index, seed, cost, state, attempt, worker, file,
    thumbnail, sha256, size_bytes, strip, strip_steps, is_favourite, failure_code, failure,
    timings_s, fingerprint, batch, created_at
)
SELECT md5(id || ' ' || k)::uuid, id, owner_id, model_id, k, seed, 16384, 'queued', 0, '', '', '',
    '', 0, '', '[]', false, '', '', '{}', '{}', '{}', created_at
FROM generation_generation CROSS JOIN generate_series(0, %(images)s - 1) AS k
"""
SHARES = """
INSERT INTO generation_queueshare (owner_id, model_id, queued, served_cost)
SELECT owner_id, model_id, COUNT(*), 0 FROM generation_image GROUP BY owner_id, model_id
"""


def measure_waiting(_bench: Bench) -> Iterator[Figure]:
    """Each figure, from a process that has its own servers; raises TrialFailedError."""
    return measure_apart("tests.bench.waiting")


def measure_inside() -> None:
    """Makes the queue and prints the figures as JSON on the last line."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    owner = queue_all()
    size_kb, median_ms, slowest_ms = ask(owner)
    note = f"{MINE:,} of the visitor's images wait, {OTHERS:,} of {PEOPLE} others"
    figures = [
        Figure("state_kb", size_kb, STATE_KB, note=f"{note}; {ASKED} are on the page"),
        Figure("state_ms", median_ms, STATE_MS, note=f"slowest of {REPEATS}: {slowest_ms:.0f}"),
    ]
    print(json.dumps([{"name": f.name, **_facts(f)} for f in figures]))


def _facts(figure: Figure) -> dict[str, object]:
    return {"measured": figure.measured, "wanted": figure.wanted, "note": figure.note}


def queue_all() -> "User":
    """Everybody's queue, and a worker that draws; returns the one with most of it."""
    from django.db import connection, transaction

    from tests.people import make_model, make_user
    from webapp.generation.queueing.heartbeat import beat_once

    model = make_model()
    owner = make_user("owner")
    asked = [(owner, MINE)]
    asked += [(make_user(f"person{number}"), OTHERS // PEOPLE) for number in range(PEOPLE)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for person, images in asked:
            facts = {"owner": person.pk, "model": model.pk, "requests": images // OF_A_REQUEST}
            cursor.execute(REQUESTS, facts)
        cursor.execute(IMAGES, {"images": OF_A_REQUEST})
        cursor.execute(SHARES)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    beat_once(name="worker-1", models=[model.slug], facts={})
    return owner


def ask(owner: "User") -> tuple[float, float, float]:
    """Kilobytes of an answer, and the median and the slowest in milliseconds."""
    from django.test import Client

    from webapp.generation.models import Image

    client = Client(SERVER_NAME="localhost")
    client.force_login(owner)
    newest = Image.objects.filter(owner=owner).order_by("-created_at", "index")
    ids = ",".join(str(pk) for pk in newest.values_list("pk", flat=True)[:ASKED])
    times_ms = []
    for _time in range(WARM_UPS + REPEATS):
        begun = time.perf_counter()
        answer = client.get(f"/studio/state/?ids={ids}")
        times_ms.append(1000 * (time.perf_counter() - begun))
        assert answer.status_code == 200, answer.content
    kept = times_ms[WARM_UPS:]
    return len(answer.content) / 1000, statistics.median(kept), max(kept)


if __name__ == "__main__":
    measure_inside()
