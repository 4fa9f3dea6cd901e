"""Where a queued image stands, and when it will be there: reckoned as the workers reckon.

`claims.claim_next` takes the share with the least served cost, and of it the oldest image, whose
cost is then added to the share. So the turn of an image is its share's served cost and the cost of
what its owner has before it; sorted by turn, the queue is in the order in which it is handed out.
What comes after the last turn that is asked for (the horizon) is not looked at. An owner is told
the places of their first images; of more than those a page shows the number.

Workers that serve the same models stand at one line. A model that several lines serve counts at the
narrowest: whoever else takes from that line only makes it shorter.

How long an image takes is what the newest finished images took, as the clock on the wall saw it.
"""

import uuid
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Any

from django.db import connection
from django.db.models import Sum

from webapp.generation.models import Image, QueueShare
from webapp.generation.queueing.heartbeat import hear_workers
from webapp.generation.told import place_sentence, seconds_sentence

# Of an image that takes longer than images usually do, so much is still reckoned with.
LEAST_LEFT = 0.1

# The newest finished images of all models: an index hands them out in order, however many more
# there are. A model that none of them was drawn with has not been measured lately.
NEWEST = 300
NEWEST_OF_A_MODEL = 20

# Places that one owner is told. With as many images beside them, an answer stays below 50 KB.
PLACES_TOLD = 100
# Images that are looked at, the first ones of each share: places after those are not known.
READ_IN_ALL = 1000

# One statement, so that all numbers are of one moment. Costs are pixels times steps. `worker_s`
# and `own_s` are seconds for one unit of cost (`Pace`): of a worker's time, which images that
# are drawn together share, and of one image's own time. NULL if the model was not measured lately.
PLACES_SQL = """
-- Which line serves which model, as the workers say. A model may be on several lines.
WITH served AS (
    SELECT * FROM unnest(%(lines)s::int[], %(slugs)s::text[], %(at_home)s::bool[],
        %(worker_s)s::float8[], %(own_s)s::float8[]) AS one(line, slug, at_home, worker_s, own_s)
), member AS (
    SELECT served.*, model.id AS model_id
    FROM served JOIN catalog_diffusionmodel model USING (slug)
-- The last turn that anybody asks for, by line: the owner's served cost after the last image that
-- they are told of. Shares whose turn comes after it are not read, however long the queue is.
), horizon AS (
    SELECT line, MAX(until) AS until FROM (
        SELECT member.line, share.served_cost + SUM(image.cost) AS until
        FROM member
        JOIN generation_queueshare share ON share.model_id = member.model_id
            AND share.owner_id = ANY(%(owners)s) AND share.queued > 0
        CROSS JOIN LATERAL (SELECT cost FROM generation_image
            WHERE owner_id = share.owner_id AND model_id = share.model_id AND state = 'queued'
            ORDER BY created_at, index LIMIT %(told)s) image
        GROUP BY member.line, share.id) AS mine
    GROUP BY line
), share AS (
    SELECT member.*, share.id AS share_id, share.owner_id, share.served_cost
    FROM member JOIN horizon USING (line)
    JOIN generation_queueshare share ON share.model_id = member.model_id AND share.queued > 0
        AND share.served_cost <= horizon.until
-- Of each share so many images are looked at.
), most AS (
    SELECT GREATEST(2, %(read)s / GREATEST(1, COUNT(*))) AS images FROM share
-- The turn of each image until then: what its owner was served, and all of theirs before it. The
-- image's own cost is not in it: claims compare what was served before the claim.
), turns AS (
    SELECT share.line, share.at_home AND share.owner_id = ANY(%(owners)s) AS asked,
        share.owner_id, image.id, share.share_id, image.created_at, image.index,
        image.cost * share.worker_s AS worker_s, image.cost * share.own_s AS own_s,
        share.served_cost - image.cost + SUM(image.cost) OVER (
            PARTITION BY share.line, share.share_id ORDER BY image.created_at, image.index
            ROWS UNBOUNDED PRECEDING) AS turn
    FROM share CROSS JOIN LATERAL (SELECT id, cost, created_at, index FROM generation_image
        WHERE owner_id = share.owner_id AND model_id = share.model_id AND state = 'queued'
        ORDER BY created_at, index LIMIT (SELECT images FROM most)) image
-- Where a share has more images than were read, places are known up to the last one that was.
), known AS (
    SELECT line, LEAST(until, MIN(last)) AS until
    FROM horizon LEFT JOIN (
        SELECT line, MAX(turn) AS last FROM turns GROUP BY line, share_id
        HAVING COUNT(*) = (SELECT images FROM most)
    ) AS cut USING (line)
    GROUP BY line, until
-- Sorted by turn, that is the order in which images are handed out, ties as claims break them.
-- `measured` is smaller than `number` if the seconds of one before it are not known.
), placed AS (
    SELECT line, asked, owner_id, id, own_s, ROW_NUMBER() OVER before_it AS number,
        SUM(worker_s) OVER before_it - worker_s AS ahead_s,
        COUNT(worker_s) OVER before_it AS measured
    FROM turns JOIN known USING (line) WHERE turn <= until
    WINDOW before_it AS (PARTITION BY line ORDER BY turn, share_id, created_at, index
        ROWS UNBOUNDED PRECEDING)
-- What the line's workers have in hand: the rest of each image's seconds, by how long it has run.
), drawing AS (
    SELECT worker.line, COUNT(*) AS images, COUNT(member.worker_s) AS measured,
        SUM(image.cost * member.worker_s * GREATEST(%(least_left)s, 1 - EXTRACT(
            EPOCH FROM clock_timestamp() - image.started_at)::float8
            / NULLIF(image.cost * member.own_s, 0))) AS left_s
    FROM generation_image image
    JOIN unnest(%(worker_lines)s::int[], %(worker_names)s::text[]) AS worker(line, name)
        ON worker.name = image.worker
    LEFT JOIN member ON member.line = worker.line AND member.model_id = image.model_id
    WHERE image.state = 'running' AND image.lease_until > clock_timestamp()
    GROUP BY worker.line
)
-- The queued images of the owners that were placed, each by its model's home line. They are joined
-- to no images: of a window's rows the planner expects a few, and would compare each with each.
SELECT owner_id, id, line, number,
    CASE WHEN placed.measured = number AND COALESCE(drawing.measured = drawing.images, TRUE)
        THEN ahead_s + COALESCE(left_s, 0) END, own_s
FROM placed LEFT JOIN drawing USING (line)
WHERE asked
-- Without a living worker that serves its model there is no line, and all numbers are NULL.
UNION ALL
SELECT share.owner_id, image.id, NULL, NULL, NULL, NULL
FROM generation_queueshare share
JOIN catalog_diffusionmodel model ON model.id = share.model_id
CROSS JOIN LATERAL (SELECT id FROM generation_image
    WHERE owner_id = share.owner_id AND model_id = share.model_id AND state = 'queued'
    ORDER BY created_at, index LIMIT %(told)s) image
WHERE share.owner_id = ANY(%(owners)s) AND share.queued > 0 AND model.slug <> ALL(%(slugs)s::text[])
ORDER BY 4 NULLS LAST
"""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds for one unit of cost (a pixel in a step): `worker_s` of a worker's time, of which
    images that are drawn together take a part each; `own_s` from the claim to the gallery."""

    worker_s: float
    own_s: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """One finished image: its cost, the seconds that its worker gave to it alone, and the
    seconds that it was with the worker."""

    slug: str
    cost: int
    worker_s: float
    own_s: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where a queued image stands: `number` 1 is taken next, None means that no living worker
    draws with its model. `seconds` until it is finished; None if no image was measured
    that says it."""

    number: int | None
    seconds: int | None = None

    def facts(self) -> dict[str, Any]:
        """`{"place": 1 for the next one or None, "sentence": its key, "wait": key and number}`."""
        return {
            "place": self.number,
            "sentence": place_sentence(self.number),
            "wait": seconds_sentence("about", self.seconds),
        }


@dataclass(frozen=True, slots=True)
class QueueView:
    """The queue as some people see it: `workers` alive, None if Valkey does not say; their
    first queued images' places by owner and image, none of them if no worker is known."""

    workers: int | None
    places: dict[int, dict[uuid.UUID, Place]] = field(default_factory=dict)

    def facts_of(self, owner_id: int, *, waiting: int) -> dict[str, Any]:
        """What one owner's page is told, as JSON; `waiting` is how many of their images are
        queued."""
        mine = self.places.get(owner_id, {})
        return {
            "workers": self.workers,
            "waiting": waiting,
            "places": {str(image_id): place.facts() for image_id, place in mine.items()},
        }


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """Workers that serve the same models, by name and slug."""

    slugs: frozenset[str]
    workers: list[str]


def look_at_queue(*, owner_ids: Collection[int]) -> QueueView:
    """The living workers, and the places of the first `PLACES_TOLD` images that each of these
    owners has queued. Two queries if there are workers and owners, else none."""
    workers = hear_workers()
    if not workers or not owner_ids:
        return QueueView(None if workers is None else len(workers))
    lines = _form_lines(workers)
    places: dict[int, dict[uuid.UUID, Place]] = {}
    with connection.cursor() as cursor:
        cursor.execute(PLACES_SQL, _arguments(lines, measure_paces(), owner_ids))
        for owner_id, image_id, line, number, before_s, own_s in cursor.fetchall():
            hands = len(lines[line].workers) if line is not None else 0
            place = Place(number, _seconds(before_s, own_s, hands))
            mine = places.setdefault(owner_id, {})
            if len(mine) < PLACES_TOLD:
                mine[image_id] = place
    return QueueView(len(workers), places)


def count_waiting(*, owner_ids: Collection[int]) -> dict[int, int]:
    """How many images each of these owners has queued; who has none is not in it. One query."""
    waiting = QueueShare.objects.filter(owner_id__in=owner_ids, queued__gt=0)
    return dict(waiting.values_list("owner_id").annotate(Sum("queued")))


def measure_paces() -> dict[str, Pace]:
    """Slug of the model to its pace over its newest images; a model that was not measured
    lately is not in it. One query."""
    newest: dict[str, deque[Drawn]] = defaultdict(lambda: deque(maxlen=NEWEST_OF_A_MODEL))
    for drawn in _read_newest():
        newest[drawn.slug].append(drawn)
    return {slug: _pace_of(images) for slug, images in newest.items()}


def _form_lines(workers: list[dict[str, Any]]) -> list[WorkerLine]:
    """Narrowest first."""
    lines: dict[frozenset[str], WorkerLine] = {}
    for worker in workers:
        slugs = frozenset(worker["models"])
        lines.setdefault(slugs, WorkerLine(slugs, [])).workers.append(worker["name"])
    return sorted(lines.values(), key=lambda line: (len(line.slugs), sorted(line.slugs)))


def _arguments(
    lines: Sequence[WorkerLine], paces: dict[str, Pace], owner_ids: Collection[int]
) -> dict[str, Any]:
    served = [(number, slug) for number, line in enumerate(lines) for slug in sorted(line.slugs)]
    known = [paces.get(slug) for _number, slug in served]
    homes: dict[str, int] = {}
    for number, slug in served:
        homes.setdefault(slug, number)
    staff = [(number, name) for number, line in enumerate(lines) for name in line.workers]
    return {
        "lines": [number for number, _slug in served],
        "slugs": [slug for _number, slug in served],
        "at_home": [homes[slug] == number for number, slug in served],
        "worker_s": [pace and pace.worker_s for pace in known],
        "own_s": [pace and pace.own_s for pace in known],
        "worker_lines": [number for number, _name in staff],
        "worker_names": [name for _number, name in staff],
        "least_left": LEAST_LEFT,
        "told": PLACES_TOLD,
        "read": READ_IN_ALL,
        "owners": list(owner_ids),
    }


def _seconds(before_s: float | None, own_s: float | None, hands: int) -> int | None:
    if before_s is None or own_s is None:
        return None
    return max(1, ceil(before_s / hands + own_s))


def _pace_of(images: Iterable[Drawn]) -> Pace:
    """Sums, not a median: of images that finish together the first one waits for all."""
    cost = sum(drawn.cost for drawn in images)
    return Pace(
        worker_s=sum(drawn.worker_s for drawn in images) / cost,
        own_s=sum(drawn.own_s for drawn in images) / cost,
    )


def _read_newest() -> Iterator[Drawn]:
    """Oldest first. A worker gives an image the time since the one before it was finished, or
    since its claim if that came later; a model's loading counts for nobody."""
    stored = Image.objects.filter(
        state=Image.State.STORED, finished_at__isnull=False, started_at__isnull=False
    )
    fields = ("model__slug", "cost", "worker", "started_at", "finished_at", "timings_s")
    rows = stored.order_by("-finished_at").values_list(*fields)[:NEWEST]
    before: dict[str, datetime] = {}
    for slug, cost, worker, started_at, finished_at, timings_s in reversed(rows):
        load_s = timings_s.get("load_s", 0.0)
        began_at = max(started_at, before.get(worker, started_at))
        before[worker] = finished_at
        yield Drawn(
            slug,
            cost,
            worker_s=max(0.0, (finished_at - began_at).total_seconds() - load_s),
            own_s=max(0.0, (finished_at - started_at).total_seconds() - load_s),
        )
