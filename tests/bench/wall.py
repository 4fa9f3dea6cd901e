"""Walls of images by the hundred thousand, made by two SQL statements: for the bench, and for
tests that count queries. One image a request, the worst case for a search; no files.
"""

from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import Generation, Image

# Word n of the list stands in every (n + 1)th prompt or less: from common to rare.
WORDS = (
    "fox", "dusk", "owl", "harbour", "lantern", "winter", "violin", "teapot", "desert", "orchid",
    "comet", "quilt", "walnut", "gargoyle", "pagoda", "zeppelin",
)  # fmt: skip

GENERATIONS = """
INSERT INTO generation_generation (
    id, owner_id, model_id, prompt, negative_prompt, width_px, height_px, steps, guidance_scale,
    sampler, seed, style, mode, exact, price_each_ucr, price_terms, idempotency_key, spec_hash,
    created_at
)
SELECT
    md5('wall ' || owner.id || ' ' || n)::uuid, owner.id, %(model)s,
    'a picture of something, number ' || n || (
        SELECT string_agg(' ' || word, '')
        FROM unnest(%(words)s::text[]) WITH ORDINALITY AS w(word, k)
        WHERE n %% (k * k)::int = 0
    ) || ', soft light, detailed background, storybook illustration',
    'people', CASE n %% 3 WHEN 0 THEN 768 ELSE 512 END, CASE n %% 3 WHEN 1 THEN 768 ELSE 512 END,
    20, 5, 'ddim', n, CASE WHEN n %% 50 = 0 THEN 'anime' ELSE '' END, 'text', false, 200000,
    '{{}}', 'wall-' || n, '', now() - n * interval '5 minutes'
FROM {owners} AS owner CROSS JOIN generate_series(1, %(pictures)s) AS n
"""
IMAGES = """
INSERT INTO generation_image (
    id, generation_id, owner_id, model_id, index, seed, cost, state, attempt, worker, file,
    thumbnail, sha256, size_bytes, strip, strip_steps, is_favourite, failure_code, failure,
    timings_s, fingerprint, batch, created_at, started_at, finished_at
)
SELECT
    md5('image ' || id)::uuid, id, owner_id, model_id, 0, seed, 5242880, 'stored', 1, 'worker-1',
    'images/' || id || '.png', 'images/' || id || '.webp', md5(id::text), 400000, '', '[]',
    seed %% 10 = 0, '', '', '{{"denoise_s": 2.5}}', '{{"device": "cpu"}}', '{{}}', created_at,
    created_at + interval '1 second', created_at + interval '4 seconds'
FROM generation_generation WHERE owner_id IN (SELECT id FROM {owners} AS owner)
    AND idempotency_key LIKE 'wall-%%'
"""


def hang_pictures(*, owner: User, model: DiffusionModel, pictures: int) -> None:
    """Gives the owner that many stored images, five minutes apart, the newest from now."""
    with transaction.atomic(), connection.cursor() as cursor:
        one = f"(SELECT {owner.pk:d} AS id)"
        hang_on_walls(cursor, owners=one, model=model, pictures=pictures)


def hang_on_walls(
    cursor: CursorWrapper, *, owners: str, model: DiffusionModel, pictures: int
) -> None:
    """The same for everybody whose `id` is in that table or query of SQL."""
    values: dict[str, Any] = {"model": model.pk, "pictures": pictures, "words": list(WORDS)}
    cursor.execute(GENERATIONS.format(owners=owners), values)
    cursor.execute(IMAGES.format(owners=owners), values)


def settle() -> None:
    """What autovacuum does in time: statistics, and pages known to be visible to all."""
    with connection.cursor() as cursor:
        for table in (Generation, Image):
            cursor.execute(f"VACUUM ANALYZE {connection.ops.quote_name(table._meta.db_table)}")
