"""What a studio of very many costs each of them: `make bench ONLY=large`.

Two throw-away servers, made by SQL: first 100 users, 10,000 images and 100 that wait, then 100,000
users, 2,000,000 images and 100,000 that wait. The same user, who has 1,000 images both times, looks
at the gallery and searches, an administrator lists, and a worker claims. Each median is told as a
multiple of an empty signed-in page in the same turns, and the figure is the worst of what these
multiples grew by.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.bench.apart import measure_apart
from tests.bench.bench import Bench
from tests.bench.books import ask_all, sign_in
from tests.bench.figures import Figure

if TYPE_CHECKING:
    from webapp.accounts.models import User
    from webapp.catalog.models import DiffusionModel

# (users, images of each that is new)
SMALL, LARGE = (100, 90), (100_000, 20)
MINE = 1_000
CLAIMS = 40
RATIO = 1.3
PAGES = (
    "/gallery/",
    "/gallery/?in=favourites",
    "/gallery/?q=owl",
    "/gallery/?q=winter",
    "/gallery/?q=nothing",
    "/credits/",
)
LISTS = (
    "/admin/accounts/user/",
    "/admin/accounts/user/?q=person77@",
    "/admin/credits/transaction/",
)

OWNERS = """
CREATE TEMPORARY TABLE large_owner ON COMMIT DROP AS
SELECT id FROM accounts_user WHERE email ~ '^person[0-9]+@' AND id NOT IN (
    SELECT owner_id FROM generation_queueshare)
"""
WAITING_GENERATIONS = """
INSERT INTO generation_generation (
    id, owner_id, model_id, prompt, negative_prompt, width_px, height_px, steps, guidance_scale,
    sampler, seed, style, mode, exact, price_each_ucr, price_terms, idempotency_key, spec_hash,
    created_at
)
SELECT md5('waiting ' || id)::uuid, id, %(model)s, 'a fox at dusk', '', 64, 64, 4, 5, 'ddim', 7,
    '', 'text', false, 200000, '{}', 'waiting', '', now()
FROM large_owner
"""
WAITING_IMAGES = """
INSERT INTO generation_image (
    id, generation_id, owner_id, model_id, index, seed, cost, state, attempt, worker, file,
    thumbnail, sha256, size_bytes, strip, strip_steps, is_favourite, failure_code, failure,
    timings_s, fingerprint, batch, created_at
)
SELECT md5('waiting image ' || id)::uuid, md5('waiting ' || id)::uuid, id, %(model)s, 0, 7, 16384,
    'queued', 0, '', '', '', '', 0, '', '[]', false, '', '', '{}', '{}', '{}', now()
FROM large_owner
"""
CHANGE_ONE = "UPDATE catalog_diffusionmodel SET slug = slug WHERE id = %s"
SHARES = """
INSERT INTO generation_queueshare (owner_id, model_id, queued, served_cost)
SELECT id, %(model)s, 1, 0 FROM large_owner
"""


def measure_large(_bench: Bench) -> Iterator[Figure]:
    """The figure, from a process that has its own servers; raises TrialFailedError."""
    return measure_apart("tests.bench.large")


def measure_inside() -> None:
    """Makes the small studio and the large one of it, and prints the figure as JSON on the last
    line."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
    import django

    django.setup()
    from django.core.management import call_command

    from tests.bench.wall import hang_pictures
    from tests.people import make_model, make_user

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    model, mine = make_model(), make_user("mine")
    admin = make_user("charlie", is_staff=True, is_superuser=True)
    hang_pictures(owner=mine, model=model, pictures=MINE)
    took = []
    for people, each in (SMALL, LARGE):
        begun = time.monotonic()
        grow(model, people=people, each=each)
        _tell(f"{people:,} users made in {time.monotonic() - begun:.0f} s")
        took.append({**time_pages(mine, PAGES), **time_pages(admin, LISTS), **time_claims(model)})
    small, large = took
    grown = {name: large[name] / small[name] for name in small}
    worst = max(grown, key=lambda name: grown[name])
    told = ", ".join(f"{name} {ratio:.2f}" for name, ratio in sorted(grown.items()))
    note = f"{worst}; {told}"
    print(
        json.dumps([{"name": "big_ratio", "measured": grown[worst], "wanted": RATIO, "note": note}])
    )


def time_pages(user: "User", paths: tuple[str, ...]) -> dict[str, float]:
    """Each page's median, as a multiple of an empty page's in the same turns."""
    pages, blank = ask_all(sign_in(user), list(paths))
    return {page.path: page.median_ms / blank.median_ms for page in pages}


def time_claims(model: "DiffusionModel") -> dict[str, float]:
    """The median of a worker's claim, as a multiple of that of a row that is changed alone."""
    from django.db import connection, transaction

    from webapp.generation.queueing.claims import claim_next

    claims_ms, bare_ms = [], []
    for _claim in range(CLAIMS):
        begun = time.perf_counter()
        assert claim_next(models=[model.slug], worker="worker-1") is not None
        claims_ms.append(1000 * (time.perf_counter() - begun))
        begun = time.perf_counter()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(CHANGE_ONE, [model.pk])
        bare_ms.append(1000 * (time.perf_counter() - begun))
    _tell(f"{statistics.median(claims_ms):.1f} ms a claim, {statistics.median(bare_ms):.1f} bare")
    return {"a claim": statistics.median(claims_ms) / statistics.median(bare_ms)}


def grow(model: "DiffusionModel", *, people: int, each: int) -> None:
    """So many users in all; the new ones have `each` images and one that waits. The index of words
    is made at the end."""
    from django.db import connection, transaction

    from tests.bench.bulk import add_people
    from tests.bench.wall import hang_on_walls, settle

    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'generation_search'")
        [index] = cursor.fetchone()
        cursor.execute("DROP INDEX generation_search")
        with transaction.atomic():
            cursor.execute("SET LOCAL session_replication_role = replica")
            add_people(cursor, people=people)
            cursor.execute(OWNERS)
            hang_on_walls(cursor, owners="large_owner", model=model, pictures=each)
            for statement in (WAITING_GENERATIONS, WAITING_IMAGES, SHARES):
                cursor.execute(statement, {"model": model.pk})
        cursor.execute(index)
        settle()
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    measure_inside()
