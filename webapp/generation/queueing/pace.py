"""How fast pictures were drawn lately, as the clock on the wall saw it."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from webapp.generation.models import Image

# The newest finished pictures of all models: an index hands them out in order, however many more
# there are. A model that none of them was drawn with has not been measured lately.
NEWEST = 300
NEWEST_OF_A_MODEL = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds for one unit of cost (a pixel in a step): `worker_s` of a worker's time, of which
    pictures that are drawn together take a part each; `own_s` from the claim to the gallery."""

    worker_s: float
    own_s: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """One finished picture: its cost, the seconds that its worker gave to it alone, and the
    seconds that it was with the worker."""

    slug: str
    cost: int
    worker_s: float
    own_s: float


def measure_paces() -> dict[str, Pace]:
    """Slug of the model to its pace over its newest pictures; a model that was not measured
    lately is not in it. One query."""
    newest: dict[str, deque[Drawn]] = defaultdict(lambda: deque(maxlen=NEWEST_OF_A_MODEL))
    for drawn in _read_newest():
        newest[drawn.slug].append(drawn)
    return {slug: _pace_of(pictures) for slug, pictures in newest.items()}


def _pace_of(pictures: Iterable[Drawn]) -> Pace:
    """Sums, not a median: of pictures that finish together the first one waits for all."""
    cost = sum(drawn.cost for drawn in pictures)
    return Pace(
        worker_s=sum(drawn.worker_s for drawn in pictures) / cost,
        own_s=sum(drawn.own_s for drawn in pictures) / cost,
    )


def _read_newest() -> Iterator[Drawn]:
    """Oldest first. A worker gives a picture the time since the one before it was finished, or
    since its claim where that came later; a model's loading counts for nobody."""
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
