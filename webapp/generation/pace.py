"""How fast pictures were drawn lately, read from the timings that they carry themselves."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from webapp.generation.models import Image

# The newest finished pictures of all models: an index hands them out in order, however many more
# there are. A model that none of them was drawn with has not been measured lately.
NEWEST = 300
DRAWING = ("encode_s", "denoise_s", "decode_s")


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds for one unit of cost (a pixel in a step): `worker_s` of a worker's time, of which
    pictures that share their steps take a part each; `own_s` from the claim to the gallery."""

    worker_s: float
    own_s: float


def measure_paces() -> dict[str, Pace]:
    """Slug of the model to its pace, the median of its newest pictures; a model that was not
    measured lately is not in it. One query."""
    found: dict[str, list[Pace]] = defaultdict(list)
    for slug, pace in _read_newest():
        found[slug].append(pace)
    return {
        slug: Pace(median(one.worker_s for one in paces), median(one.own_s for one in paces))
        for slug, paces in found.items()
    }


def _read_newest() -> Iterator[tuple[str, Pace]]:
    newest = Image.objects.filter(finished_at__isnull=False, state=Image.State.STORED)
    rows = newest.order_by("-finished_at").values_list(
        "model__slug",
        "model__uses_negative_prompt",
        "generation__guidance_scale",
        "cost",
        "timings_s",
        "batch",
    )
    for slug, has_negative, guidance_scale, cost, timings_s, batch in rows[:NEWEST]:
        own_rows = 2 if has_negative and guidance_scale > 1 else 1
        together = max(1.0, batch.get("rows_mean", own_rows) / own_rows)
        drawing_s = sum(timings_s.get(stage, 0.0) for stage in DRAWING)
        if cost and drawing_s:
            yield slug, _pace(timings_s, drawing_s, cost=cost, together=together)


def _pace(timings_s: Mapping[str, float], drawing_s: float, *, cost: int, together: float) -> Pace:
    return Pace(
        worker_s=drawing_s / together / cost,
        own_s=(drawing_s + timings_s.get("finish_s", 0.0)) / cost,
    )
